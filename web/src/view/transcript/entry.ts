/** One event of the transcript. */

import type { ChatEvent } from "../../core/event.js";
import { linked, listItem, make, safely, spoken } from "../parts/dom.js";
import type { EventItem } from "./items.js";
import { hueOf } from "../parts/palette.js";

const WALL_CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const WALL_CLOCK_FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/**
 * Builds the list item for an event. What it says about the event itself never changes; the event's relations to others
 * may: see `marks.ts`.
 */
export function entry(standing: EventItem): HTMLElement {
  const { event } = standing;
  const { kind } = event;
  const item = listItem(`row ${kind.type} ${hueOf(event.author.name)}`);
  item.classList.toggle("own", standing.own);
  item.classList.toggle("earlier", standing.earlier);
  item.classList.toggle("continued", standing.continued);
  Object.assign(item.dataset, { sequence: `${event.sequence}`, time: `${event.logicalTime}`, kind: kind.type });
  const time = make("span", "time", spoken("Logical time "), `${event.logicalTime}`);
  const node = make("span", kind.type === "message" ? "node" : `node ring ${kind.type}`);
  node.setAttribute("aria-hidden", "true");
  item.append(time, node, kind.type === "message" ? message(event, standing) : membership(event, standing));
  return item;
}

function message(event: ChatEvent, standing: EventItem): HTMLElement {
  const name = make("b", "name", ...safely(event.author.name));
  name.dir = "auto";
  const who = make("p", standing.continued ? "who vh" : "who", name, ...(standing.own ? you() : []), ...wallClock(event));
  const text = make("p", "text", ...linked(event.content));
  text.dir = "auto";
  return make("div", "body", who, text);
}

/** The sentence is the service's; the name in it is set in bold, and nothing is added or left out. */
function membership(event: ChatEvent, standing: EventItem): HTMLElement {
  const at = event.content.indexOf(event.author.name);
  const sentence = make("p", "text");
  if (at < 0 || event.author.name === "") {
    sentence.append(...safely(event.content));
  } else {
    const name = make("b", "name", ...safely(event.author.name));
    const end = at + event.author.name.length;
    sentence.append(...safely(event.content.slice(0, at)), name, ...safely(event.content.slice(end)));
  }
  sentence.dir = "auto";
  const body = make("div", "body", sentence);
  if (standing.own) body.append(...you());
  if (event.kind.type === "left" && event.kind.disconnected) body.append(" ", make("span", "aside-word", "connection lost"));
  body.append(...wallClock(event));
  return body;
}

function wallClock(event: ChatEvent): (Node | string)[] {
  if (event.recordedAt === null) return [];
  const moment = new Date(event.recordedAt);
  const time = make("time", "wall", WALL_CLOCK.format(moment));
  time.dateTime = moment.toISOString();
  time.title = WALL_CLOCK_FULL.format(moment);
  return [" ", time];
}

/** The space is for screen readers, which would otherwise read the words as one. */
function you(): (Node | string)[] {
  return [" ", make("span", "you", "you")];
}
