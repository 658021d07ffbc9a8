//! A service and its clients in memory. One step at a time, chosen by a seed: a request arrives, an answer comes, an event
//! is delivered, a connection breaks, a process is killed. Each logs what the specification's chapter 9 says.

use std::collections::{BTreeMap, VecDeque};

use chitchat::trace::gallery::{JsonLog, Logs};
use serde_json::{Value, json};

use super::mistakes::Mistake;

const SECOND: i64 = 1_000_000;
const GRACE: i64 = 30 * SECOND;
const EPOCH: &str = "51e0000000000001";
/// 2026-03-01.
const BEGINS: i64 = 1_772_323_200 * SECOND;

/// A small generator: splitmix64.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// An event as it is told: to everybody alike, unless something is wrong.
#[derive(Clone, Debug)]
pub struct Event {
    sequence: u64,
    time: u64,
    sent: u64,
    who: u64,
    name: String,
    kind: &'static str,
    content: String,
    id: String,
    seen: u64,
    reason: &'static str,
    /// Whether the service's log has it.
    logged: bool,
}

#[derive(Clone, Debug)]
enum Request {
    Join { sent: u64 },
    Resume { after: u64 },
    Publish { sent: u64, seen: u64, id: String, text: String },
    Leave { sent: u64 },
}

#[derive(Clone, Debug)]
enum Answer {
    Published { id: String, sequence: u64, time: u64 },
    Refused { id: String, text: String, reason: &'static str },
    Left { sequence: u64, time: u64 },
    NoStream(&'static str),
}

#[derive(Clone, Debug)]
enum Told {
    Welcome { who: u64, resumed: bool, head: u64, time: u64 },
    Event(Event),
}

#[derive(Clone, Debug)]
struct Draft {
    id: String,
    text: String,
    seen: u64,
    tried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away,
    Joining,
    Online,
    Offline,
    Resuming,
    Leaving,
    Gone,
}

#[derive(Debug)]
struct Client {
    name: String,
    offset: i64,
    phase: Phase,
    clock: u64,
    who: u64,
    position: u64,
    outbox: VecDeque<Draft>,
    in_flight: bool,
    written: u64,
    requests: VecDeque<Request>,
    answers: VecDeque<Answer>,
    inbox: VecDeque<Told>,
    log: Vec<Value>,
}

#[derive(Debug, Default)]
struct Stream {
    handed: u64,
    /// Nothing is handed to it any more.
    silent: bool,
}

#[derive(Debug, Default)]
struct Service {
    up: bool,
    clock: u64,
    journal: Vec<Event>,
    /// The numbers given out go beyond the journal's length by this, after a mistake.
    skipped: u64,
    active: BTreeMap<u64, String>,
    streams: BTreeMap<u64, Stream>,
    offline: BTreeMap<u64, i64>,
    answered: BTreeMap<(u64, String), (u64, u64)>,
    log: Vec<Value>,
}

/// All processes, and the true time.
#[derive(Debug)]
pub struct World {
    dice: Dice,
    now: i64,
    mistake: Option<Mistake>,
    /// Whether it was made.
    pub made: bool,
    /// Nobody would notice a mistake now.
    unseen: bool,
    service: Service,
    clients: Vec<Client>,
}

/// The logs of a run, and whether the mistake was made in it.
pub fn run(seed: u64, mistake: Option<Mistake>) -> (Logs, bool) {
    let mut dice = Dice::new(seed);
    let count = 2 + dice.below(3);
    let clients = (0..count)
        .map(|n| Client {
            name: format!("person{n}"),
            offset: dice.below(7_200) as i64 * SECOND - 3_600 * SECOND,
            phase: Phase::Away,
            clock: 0,
            who: 0,
            position: 0,
            outbox: VecDeque::new(),
            in_flight: false,
            written: 0,
            requests: VecDeque::new(),
            answers: VecDeque::new(),
            inbox: VecDeque::new(),
            log: Vec::new(),
        })
        .collect();
    let mut world =
        World { dice, now: BEGINS, mistake, made: false, unseen: false, service: Service::default(), clients };
    world.start();
    let steps = 300 + world.dice.below(500);
    for _ in 0..steps {
        world.step();
    }
    world.finish();
    world.logs()
}

fn stamp(at: i64) -> Value {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(at as u64);
    json!(humantime::format_rfc3339_micros(time).to_string())
}

fn sentence(name: &str, kind: &str, time: u64) -> String {
    format!("Participant {name} {kind} Chit Chat at logical time {time}")
}

impl World {
    /// Whether this is the moment at which the mistake is made.
    fn errs(&mut self, mistake: Mistake) -> bool {
        if self.mistake != Some(mistake) || self.made || self.unseen || !self.dice.chance(60) {
            return false;
        }
        self.made = true;
        true
    }

    fn has_erred(&self, mistake: Mistake) -> bool {
        self.made && self.mistake == Some(mistake)
    }

    fn note(&mut self, mut record: Value) {
        self.now += 3 + self.dice.below(40) as i64;
        (record["timestamp"], record["component"]) = (stamp(self.now), json!("server"));
        (record["level"], record["epoch"]) = (json!("INFO"), json!(EPOCH));
        self.service.log.push(record);
    }

    fn say(&mut self, client: usize, mut record: Value) {
        self.now += 3 + self.dice.below(40) as i64;
        let person = &mut self.clients[client];
        (record["timestamp"], record["component"]) = (stamp(self.now + person.offset), json!("client"));
        record["level"] = json!("INFO");
        if record["event"] != "event_delivered" {
            record["display_name"] = json!(person.name);
            if person.who > 0 {
                (record["epoch"], record["participant_id"]) = (json!(EPOCH), json!(format!("p{}", person.who)));
            }
        }
        person.log.push(record);
    }

    fn head(&self) -> u64 {
        self.service.journal.len() as u64 + self.service.skipped
    }

    fn start(&mut self) {
        let (head, time) = (self.head(), self.service.clock);
        let time = if head > 0 && self.errs(Mistake::RestartForgetsClock) { time.saturating_sub(1) } else { time };
        self.note(json!({"event": "server_started", "version": "0", "sequence": head, "logical_time": time,
            "grace_ms": GRACE / 1000, "ping_ms": 20_000, "ping_timeout_ms": 10_000, "stall_ms": 30_000}));
        self.service.up = true;
        let now = self.now;
        self.service.offline = self.service.active.keys().map(|who| (*who, now)).collect();
        if head > 4 && self.errs(Mistake::RestartForgetsIds) {
            self.service.answered.clear();
            // Whoever sends again now is believed: the newest message is repeated.
            let again = self
                .service
                .journal
                .iter()
                .rfind(|event| event.kind == "message" && !event.id.is_empty())
                .cloned();
            match again.filter(|event| self.service.active.contains_key(&event.who)) {
                Some(event) => drop(self.broadcast(event)),
                None => self.made = false,
            }
        }
        if head > 4 && self.errs(Mistake::RestartRenumbers) {
            let mut again = self.service.journal[1].clone();
            again.time = self.service.clock + 2;
            let record = broadcast_record(&again, 0);
            self.note(record);
        }
    }

    /// What the specification's chapter 3 says, and the roster's changes.
    fn broadcast(&mut self, mut event: Event) -> (u64, u64) {
        let before = self.service.clock;
        self.service.clock = before.max(event.sent) + 2;
        let receipt = before.max(event.sent);
        if event.sent > before + 1 && self.errs(Mistake::IgnoresRequestTime) {
            self.service.clock = before + 2;
        }
        if self.errs(Mistake::StampsEarly) {
            self.service.clock = receipt + 1;
        }
        if self.errs(Mistake::StampsLate) {
            self.service.clock = receipt + 3;
        }
        if before > 0 && self.errs(Mistake::StampsTwice) {
            self.service.clock = before;
        }
        if self.errs(Mistake::StampsWallClock) {
            self.service.clock = (self.now / SECOND) as u64;
        }
        if before > 4 && self.errs(Mistake::SkipsNumber) {
            self.service.skipped += 1;
        }
        event.sequence = self.head() + 1;
        if event.sequence > 3 && self.errs(Mistake::ReusesNumber) {
            event.sequence -= 1;
        }
        event.time = self.service.clock;
        if event.kind != "message" {
            let said = if self.errs(Mistake::OtherSentence) { event.time - 1 } else { event.time };
            event.content = sentence(&event.name, event.kind, said);
        }
        if event.kind == "joined" {
            if event.who == 0 {
                event.who = event.sequence;
            }
            if event.sent > 0 && self.errs(Mistake::MakesUpJoinTime) {
                event.sent -= 1;
            }
        }
        if event.reason == "REQUESTED" && event.sent > 0 && self.errs(Mistake::MakesUpLeaveTime) {
            event.sent -= 1;
        }
        if event.kind == "message" {
            if self.errs(Mistake::ChangesText) {
                event.content = "Hello".into();
            }
            if event.seen > 0 && self.errs(Mistake::MakesUpSeen) {
                event.seen -= 1;
            }
            if event.sent > 1 && self.errs(Mistake::MakesUpSent) {
                event.sent -= 1;
            }
        }
        // A killed service may have recorded less than is in its journal; the next start makes up for it.
        event.logged = true;
        let unrecorded = event.kind == "message" && self.errs(Mistake::TellsUnrecorded);
        let (sequence, time) = (event.sequence, event.time);
        if !unrecorded {
            let record = broadcast_record(&event, self.service.streams.len());
            self.note(record);
        }
        match event.kind {
            "joined" => drop(self.service.active.insert(event.who, event.name.clone())),
            "left" => drop(self.service.active.remove(&event.who)),
            _ => drop(self.service.answered.insert((event.who, event.id.clone()), (sequence, time))),
        }
        self.service.journal.push(event);
        (sequence, time)
    }

    fn blank(&self, who: u64, kind: &'static str) -> Event {
        let name = self.service.active.get(&who).cloned().unwrap_or_else(|| "nobody".into());
        let (content, id) = (String::new(), String::new());
        Event { sequence: 0, time: 0, sent: 0, who, name, kind, content, id, seen: 0, reason: "", logged: true }
    }

    fn expire(&mut self, who: u64) {
        self.service.offline.remove(&who);
        let name = self.service.active.get(&who).cloned().unwrap_or_default();
        self.note(json!({"event": "session_expired", "participant_id": format!("p{who}"), "display_name": name}));
        let left = Event { reason: "DISCONNECTED", ..self.blank(who, "left") };
        self.broadcast(left);
        if self.errs(Mistake::LeavesTwice) {
            let left = Event { reason: "DISCONNECTED", name, ..self.blank(who, "left") };
            self.broadcast(left);
        }
    }

    /// Time passes. Whose grace period is over leaves.
    fn pass(&mut self, micros: i64) {
        let until = self.now + micros;
        if self.service.up {
            loop {
                let due = self.service.offline.iter().map(|(who, since)| (since + GRACE, *who)).min();
                let Some((at, who)) = due.filter(|(at, _)| *at <= until) else { break };
                self.now = self.now.max(at);
                if self.errs(Mistake::NeverExpires) {
                    self.service.offline.remove(&who);
                } else if self.errs(Mistake::ExpiresLate) {
                    self.service.offline.insert(who, at - GRACE + 20 * SECOND);
                } else {
                    self.expire(who);
                }
            }
        }
        self.now = self.now.max(until);
    }

    fn step(&mut self) {
        let pause = if self.dice.chance(4) { self.dice.below(12 * SECOND as u64) } else { self.dice.below(3_000) };
        if pause > 1_000_000 {
            // A stream that is open does not wait that long.
            (0..self.clients.len()).for_each(|client| self.hand_over_all(client));
        }
        self.pass(pause as i64);
        let client = self.dice.below(self.clients.len() as u64) as usize;
        // After a mistake nothing breaks any more that could hide it.
        let calm = self.made;
        if !calm && self.dice.chance(1) && self.service.journal.len() > 3 {
            return self.restart();
        }
        if self.service.up && self.dice.chance(10) {
            self.wrong_by_itself();
        }
        match self.clients[client].phase {
            Phase::Away => self.join(client),
            Phase::Offline if self.service.up && self.dice.chance(40) => self.resume(client),
            Phase::Gone if self.dice.chance(5) => self.again(client),
            Phase::Online if !calm && self.dice.chance(2) => self.cut(client, "DISCONNECTED"),
            Phase::Online if !calm && self.dice.chance(1) => self.vanish(client),
            _ => self.move_on(client),
        }
    }

    fn move_on(&mut self, client: usize) {
        match self.dice.below(6) {
            0 => self.serve(client),
            1 => self.hear(client),
            2 => self.hand_over(client),
            3 => self.take(client),
            4 => self.submit(client),
            _ => self.send(client),
        }
    }

    fn tick(&mut self, client: usize) -> u64 {
        self.clients[client].clock += 1;
        self.clients[client].clock
    }

    fn receive(&mut self, client: usize, time: u64) -> u64 {
        let clock = &mut self.clients[client].clock;
        *clock = (*clock).max(time) + 1;
        *clock
    }

    fn join(&mut self, client: usize) {
        if self.clients[client].log.is_empty() {
            self.say(client, json!({"event": "client_started"}));
        }
        let mut sent = self.tick(client);
        if self.errs(Mistake::TakesLeap) {
            sent += (1 << 20) + 100_000;
            self.clients[client].clock = sent;
        }
        self.say(client, json!({"event": "join_sent", "sent_logical_time": sent, "local_time": sent}));
        self.clients[client].phase = Phase::Joining;
        self.clients[client].requests.push_back(Request::Join { sent });
    }

    fn resume(&mut self, client: usize) {
        if self.errs(Mistake::ClockStartsAnew) {
            self.clients[client].clock = 0;
        }
        let person = &self.clients[client];
        // Before its own join was delivered, it goes on before that.
        let after = person.position.max(person.who - 1);
        let sent = self.tick(client);
        self.say(
            client,
            json!({"event": "join_sent", "sent_logical_time": sent, "local_time": sent, "sequence": after}),
        );
        self.clients[client].phase = Phase::Resuming;
        self.clients[client].requests.push_back(Request::Resume { after });
    }

    /// The program is run once more, in the same log.
    fn again(&mut self, client: usize) {
        let person = &mut self.clients[client];
        (person.phase, person.clock, person.who, person.position) = (Phase::Away, 0, 0, 0);
        (person.in_flight, person.outbox) = (false, VecDeque::new());
        self.say(client, json!({"event": "client_started"}));
    }

    fn submit(&mut self, client: usize) {
        let person = &mut self.clients[client];
        if !matches!(person.phase, Phase::Online | Phase::Offline) || person.who == 0 || person.position == 0 {
            return;
        }
        person.written += 1;
        let (id, text, seen) = (
            format!("{}-{}", person.name, person.written),
            format!("message {}", person.written),
            person.position,
        );
        let seen = match () {
            () if self.errs(Mistake::SaysSeenLess) => seen - 1,
            () if self.errs(Mistake::SaysSeenMore) => seen + 1,
            () if self.errs(Mistake::SaysSeenFuture) => seen + 5_000,
            () => seen,
        };
        let is_long = self.mistake == Some(Mistake::TakesLongText) && self.dice.chance(20);
        let text = if is_long { "æ".repeat(129) } else { text };
        self.say(
            client,
            json!({"event": "publish_queued", "message_id": id, "seen_sequence": seen, "content": text}),
        );
        self.clients[client].outbox.push_back(Draft { id, text, seen, tried: false });
    }

    fn send(&mut self, client: usize) {
        let person = &self.clients[client];
        if person.phase != Phase::Online || person.in_flight || person.position == 0 {
            return;
        }
        let Some(mut draft) = person.outbox.front().cloned() else { return self.leave(client) };
        let position = person.position;
        if draft.seen < position && self.errs(Mistake::SeesWhileWaiting) {
            draft.seen = position;
            self.clients[client].outbox[0].seen = position;
        }
        let mut sent =
            if self.errs(Mistake::SendsWithoutTick) { self.clients[client].clock } else { self.tick(client) };
        let local = sent;
        if self.errs(Mistake::StampsOldTime) {
            sent = self.service.journal[position as usize - 1].time;
        }
        let Draft { id, text, seen, .. } = draft;
        self.clients[client].outbox[0].tried = true;
        self.say(
            client,
            json!({"event": "publish_sent", "message_id": id, "sent_logical_time": sent, "seen_sequence": seen,
                "local_time": local, "content": text}),
        );
        self.clients[client].in_flight = true;
        self.clients[client].requests.push_back(Request::Publish { sent, seen, id, text });
    }

    fn leave(&mut self, client: usize) {
        if self.made || !self.dice.chance(6) {
            return;
        }
        let mut sent = self.tick(client);
        let local = sent;
        if self.errs(Mistake::LeavesInThePast) {
            sent = self.service.journal[self.clients[client].position as usize - 1].time;
        }
        self.say(client, json!({"event": "leave_sent", "sent_logical_time": sent, "local_time": local}));
        self.clients[client].phase = Phase::Leaving;
        self.clients[client].requests.push_back(Request::Leave { sent });
    }

    /// The connection breaks. What is on its way may still arrive at the service, and nothing comes back.
    fn cut(&mut self, client: usize, reason: &'static str) {
        if self.service.up {
            let arrive = self.dice.below(self.clients[client].requests.len() as u64 + 1);
            // What is done wrong here, no answer would show.
            self.unseen = true;
            (0..arrive).for_each(|_| self.serve(client));
            self.unseen = false;
        }
        let who = self.clients[client].who;
        // A join whose Welcome is lost has a stream, too.
        let served = self.clients[client].inbox.iter().find_map(|told| match told {
            Told::Welcome { who, .. } => Some(*who),
            Told::Event(_) => None,
        });
        let who = served.unwrap_or(who);
        if self.service.up && self.service.streams.remove(&who).is_some() {
            self.note(
                json!({"event": "client_disconnected", "participant_id": format!("p{who}"), "reason": reason}),
            );
            if self.service.active.contains_key(&who) {
                let now = self.now;
                self.service.offline.insert(who, now);
                if self.errs(Mistake::ExpiresEarly) {
                    self.pass(5 * SECOND);
                    self.expire(who);
                }
            }
            if self.service.active.contains_key(&who) && self.errs(Mistake::HandsToEnded) {
                let head = self.head();
                self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
                    "first_sequence": head, "last_sequence": head}));
            }
        }
        let person = &mut self.clients[client];
        person.requests.clear();
        person.answers.clear();
        person.inbox.clear();
        person.in_flight = false;
        let next = match person.phase {
            Phase::Joining | Phase::Away => Phase::Away,
            Phase::Gone => return,
            _ => Phase::Offline,
        };
        person.phase = next;
        self.say(client, json!({"event": "disconnected", "reason": reason}));
    }

    /// The process is killed: it logs nothing any more.
    fn vanish(&mut self, client: usize) {
        let end = self.clients[client].log.len();
        self.cut(client, "DISCONNECTED");
        let person = &mut self.clients[client];
        person.log.truncate(end);
        person.phase = Phase::Gone;
    }

    fn restart(&mut self) {
        if self.service.up {
            let orderly = self.dice.chance(50);
            if orderly {
                self.note(json!({"event": "server_stopping"}));
                let streams: Vec<u64> = self.service.streams.keys().copied().collect();
                for who in streams {
                    self.note(json!({"event": "client_disconnected", "participant_id": format!("p{who}"),
                        "reason": "SHUTTING_DOWN"}));
                }
                let (head, time) = (self.head(), self.service.clock);
                self.note(json!({"event": "server_stopped", "sequence": head, "logical_time": time}));
            }
            self.service.up = false;
            self.service.streams.clear();
            self.service.offline.clear();
            for client in 0..self.clients.len() {
                if !matches!(self.clients[client].phase, Phase::Away | Phase::Gone) {
                    self.cut(client, "CONNECTION_LOST");
                }
            }
        }
        self.pass(100_000);
        if self.errs(Mistake::RestartLoses) {
            if let Some(lost) = self.service.journal.pop() {
                match lost.kind {
                    "joined" => drop(self.service.active.remove(&lost.who)),
                    "left" => drop(self.service.active.insert(lost.who, lost.name)),
                    _ => drop(self.service.answered.remove(&(lost.who, lost.id))),
                }
                self.service.clock = self.service.journal.last().map_or(0, |event| event.time);
            }
        } else if !orderly_end(&self.service.log) && self.dice.chance(30) {
            self.unrecord();
        }
        self.start();
    }

    /// The service was killed after the commit and before the record, so the next start makes up for it.
    fn unrecord(&mut self) {
        let is_last = |record: &Value| record["event"].as_str().is_some_and(|event| event.ends_with("_broadcast"));
        if self.service.log.last().is_some_and(is_last) && self.mistake.is_none() {
            let Some(mut record) = self.service.log.pop() else { return };
            record["recovered"] = json!(true);
            record["recipients"] = Value::Null;
            self.note(record);
        }
    }

    fn serve(&mut self, client: usize) {
        if !self.service.up {
            return;
        }
        let Some(request) = self.clients[client].requests.pop_front() else { return };
        let who = self.clients[client].who;
        match request {
            Request::Join { sent } => self.serve_join(client, sent),
            Request::Resume { after } => self.serve_resume(client, after),
            Request::Publish { sent, seen, id, text } => self.serve_publish(client, sent, seen, id, text),
            Request::Leave { sent } if self.service.active.contains_key(&who) => {
                if self.errs(Mistake::AcksLeaveAndKeeps) {
                    let (sequence, time) = (self.head() + 1, self.service.clock.max(sent) + 2);
                    return self.clients[client].answers.push_back(Answer::Left { sequence, time });
                }
                self.service.offline.remove(&who);
                let handed = self.service.streams.get(&who).map_or(0, |stream| stream.handed);
                if handed >= self.head() || !self.errs(Mistake::MissesBeforeLeave) {
                    self.hand_over_all(client);
                }
                let left = Event { sent, reason: "REQUESTED", ..self.blank(who, "left") };
                let (sequence, time) = self.broadcast(left);
                self.clients[client].answers.push_back(Answer::Left { sequence, time });
                if self.errs(Mistake::MessageAfterLeave) {
                    let name = self.clients[client].name.clone();
                    let event = Event { name, content: "one more".into(), ..self.blank(who, "message") };
                    self.broadcast(event);
                }
                if self.errs(Mistake::TellsAfterLeave) {
                    let event = self.service.journal.last().cloned();
                    self.clients[client].inbox.extend(event.map(Told::Event));
                }
                if self.service.streams.remove(&who).is_some() {
                    self.note(json!({"event": "client_disconnected", "participant_id": format!("p{who}"),
                        "reason": "LEFT"}));
                }
            }
            Request::Leave { .. } => self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN")),
        }
    }

    fn serve_join(&mut self, client: usize, sent: u64) {
        let mut name = self.clients[client].name.clone();
        let taken = self.service.active.iter().find(|(_, active)| **active == name).map(|(who, _)| *who);
        if taken.is_some() && !self.errs(Mistake::NameTwice) {
            self.note(json!({"event": "request_refused", "reason": "NAME_TAKEN"}));
            return self.clients[client].answers.push_back(Answer::NoStream("NAME_TAKEN"));
        }
        if sent > self.service.clock + (1 << 20) && !self.has_erred(Mistake::TakesLeap) {
            return self.clients[client].answers.push_back(Answer::NoStream("CLOCK_OUT_OF_RANGE"));
        }
        if self.errs(Mistake::TakesBadName) {
            name.push('\u{7}');
        }
        let (who, position) = (self.head() + 1, self.head());
        self.attach(who, position, false);
        let joined = Event { sent, name, ..self.blank(0, "joined") };
        let (sequence, mut time) = self.broadcast(joined.clone());
        // With a mistake in the numbers the id is the event's all the same.
        let who = self.service.journal.last().map_or(who, |event| event.who);
        if self.errs(Mistake::JoinsTwice) {
            self.broadcast(Event { who, ..joined });
        }
        if self.errs(Mistake::WelcomesWithOtherTime) {
            time -= 1;
        }
        let stream = self.service.streams.entry(who).or_default();
        stream.handed = sequence - 1;
        if self.errs(Mistake::HidesOwnJoin) {
            // To the stream it is as if it had been handed.
            self.service.streams.entry(who).or_default().handed = sequence;
        }
        self.clients[client].inbox.push_back(Told::Welcome { who, resumed: false, head: sequence, time });
        if sequence > 1 && self.errs(Mistake::TellsBefore) {
            let before = self.service.journal[sequence as usize - 2].clone();
            self.clients[client].inbox.push_back(Told::Event(before));
        }
        if sequence > 1 && self.errs(Mistake::HandsOutsideMembership) {
            self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
                "first_sequence": sequence - 1, "last_sequence": sequence - 1}));
        }
    }

    fn attach(&mut self, who: u64, position: u64, resumed: bool) {
        self.service.offline.remove(&who);
        for event in if resumed { &["client_connected", "session_resumed"][..] } else { &["client_connected"] } {
            self.note(json!({"event": event, "participant_id": format!("p{who}"), "peer": "192.0.2.1:4000",
                "transport": "grpc", "sequence": position}));
        }
        self.service.streams.insert(who, Stream { handed: position, silent: false });
    }

    fn serve_resume(&mut self, client: usize, after: u64) {
        let who = self.clients[client].who;
        if !self.service.active.contains_key(&who) {
            self.note(json!({"event": "request_refused", "reason": "SESSION_UNKNOWN"}));
            return self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN"));
        }
        self.attach(who, after, true);
        let (head, time) = (self.head(), self.service.journal.last().map_or(0, |event| event.time));
        self.clients[client].inbox.push_back(Told::Welcome { who, resumed: true, head, time });
        let silent = self.errs(Mistake::ResumesSilently);
        let late = after < head && self.errs(Mistake::ResumesLate);
        if let Some(stream) = self.service.streams.get_mut(&who) {
            stream.silent = silent;
            stream.handed += u64::from(late);
        }
        if after > 1 && self.errs(Mistake::ResumesEarly) {
            let again = self.service.journal[after as usize - 1].clone();
            self.clients[client].inbox.push_back(Told::Event(again));
        }
        if self.errs(Mistake::ExpiresResumed) {
            self.expire(who);
        }
    }

    fn serve_publish(&mut self, client: usize, sent: u64, seen: u64, id: String, text: String) {
        let who = self.clients[client].who;
        if !self.service.active.contains_key(&who) {
            return self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN"));
        }
        let known = self.service.answered.get(&(who, id.clone())).copied();
        if let Some((sequence, time)) = known {
            if self.errs(Mistake::TakesRetryForNew) {
                let event = Event { sent, seen, id: id.clone(), content: text, ..self.blank(who, "message") };
                self.broadcast(event);
            }
            let time = if self.errs(Mistake::AcksRetryOtherwise) { time + 1 } else { time };
            return self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
        }
        if text.chars().count() > 128 && !self.errs(Mistake::TakesLongText) {
            let reason = "TEXT_TOO_LONG";
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason });
        }
        let refused = self.dice.chance(3) && !self.made;
        let told = refused && self.errs(Mistake::RefusesAndTells);
        if refused && !told {
            self.note(json!({"event": "request_refused", "reason": "RATE_LIMITED"}));
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason: "RATE_LIMITED" });
        }
        if self.errs(Mistake::AcksAndLoses) {
            let (sequence, time) = (self.head() + 1, self.service.clock.max(sent) + 2);
            return self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
        }
        if self.errs(Mistake::AcksBeforeOrder) && self.ack_before_order(client, who, sent, seen, &id, &text) {
            return;
        }
        let event = Event { sent, seen, id: id.clone(), content: text.clone(), ..self.blank(who, "message") };
        let (mut sequence, mut time) = self.broadcast(event);
        if told {
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason: "RATE_LIMITED" });
        }
        if self.errs(Mistake::AcksOtherEvent) {
            sequence -= 1;
        }
        if self.errs(Mistake::AcksOtherTime) {
            time -= 1;
        }
        self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
    }

    /// Somebody else's message is sent, and gets its place first, when this one was acknowledged.
    fn ack_before_order(&mut self, client: usize, who: u64, sent: u64, seen: u64, id: &str, text: &str) -> bool {
        let is_ready = |other: &usize| {
            let person = &self.clients[*other];
            *other != client
                && person.phase == Phase::Online
                && !person.in_flight
                && person.outbox.front().is_some_and(|draft| !draft.tried)
                && self.service.active.contains_key(&person.who)
        };
        let Some(other) = (0..self.clients.len()).find(is_ready) else {
            self.made = false;
            return false;
        };
        let promised = self.head() + 2;
        // What the other's message will be stamped with is known here, as it is about to be sent.
        let first = self.service.clock.max(self.clients[other].clock + 1) + 2;
        let time = first.max(sent) + 2;
        let answer = Answer::Published { id: id.to_owned(), sequence: promised, time };
        self.pass(5_000);
        self.clients[client].answers.push_back(answer);
        while !self.clients[client].answers.is_empty() {
            self.hear(client);
        }
        self.pass(2 * SECOND);
        self.send(other);
        self.serve(other);
        self.pass(5_000);
        let event =
            Event { sent, seen, id: id.to_owned(), content: text.to_owned(), ..self.blank(who, "message") };
        self.broadcast(event);
        true
    }

    fn hand_over_all(&mut self, client: usize) {
        let who = self.clients[client].who;
        loop {
            let handed = self.service.streams.get(&who).map(|stream| stream.handed);
            self.hand_over(client);
            if self.service.streams.get(&who).map(|stream| stream.handed) == handed {
                break;
            }
        }
    }

    fn hand_over(&mut self, client: usize) {
        let welcomed = self.clients[client].inbox.iter().find_map(|told| match told {
            Told::Welcome { who, .. } => Some(*who),
            Told::Event(_) => None,
        });
        let who = welcomed.unwrap_or(self.clients[client].who);
        let head = self.service.journal.len() as u64;
        if !self.service.up || self.service.skipped > 0 {
            return;
        }
        let Some(stream) = self.service.streams.get(&who) else { return };
        if stream.silent || stream.handed >= head {
            return;
        }
        let (mut first, mut last) = (stream.handed + 1, head);
        if self.dice.chance(30) {
            last = first;
        }
        if let Some(left) = self.service.journal[first as usize - 1..last as usize]
            .iter()
            .position(|event| event.kind == "left" && event.who == who)
        {
            // A stream ends before the own leave.
            if left == 0 {
                return;
            }
            last = first + left as u64 - 1;
        }
        if last < head && self.errs(Mistake::ForgetsStream) {
            self.service.streams.get_mut(&who).unwrap().silent = true;
            return;
        }
        let told: Vec<Event> = self.service.journal[first as usize - 1..last as usize].to_vec();
        if last > first && self.errs(Mistake::StreamSkips) {
            first += 1;
        }
        if first > who + 1 && self.errs(Mistake::StreamRepeats) {
            first -= 1;
        }
        self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
            "first_sequence": first, "last_sequence": last}));
        self.service.streams.get_mut(&who).unwrap().handed = last;
        for event in told {
            self.tell(client, event);
        }
    }

    fn tell(&mut self, client: usize, mut event: Event) {
        let is_message = event.kind == "message";
        if self.errs(Mistake::TellsOtherTime) {
            event.time += 1;
        }
        if self.errs(Mistake::TellsOtherText) {
            event.content.push('!');
        }
        if self.errs(Mistake::TellsOtherAuthor) {
            event.who += 100;
        }
        if self.errs(Mistake::TellsOtherName) {
            event.name = "mallory".into();
        }
        if is_message && self.errs(Mistake::TellsOtherId) {
            event.id.push('x');
        }
        if is_message && self.errs(Mistake::TellsOtherSeen) {
            event.seen += 1;
        }
        if is_message && self.errs(Mistake::TellsOtherSent) {
            event.sent += 1;
        }
        if event.kind == "left" && self.errs(Mistake::TellsOtherReason) {
            event.reason = if event.reason == "REQUESTED" { "DISCONNECTED" } else { "REQUESTED" };
        }
        if is_message && self.errs(Mistake::TellsOtherKind) {
            event.kind = "left";
        }
        let inner = event.who != self.clients[client].who && !self.clients[client].inbox.is_empty();
        if inner && self.errs(Mistake::DropsDelivery) {
            return;
        }
        if self.errs(Mistake::RepeatsDelivery) {
            self.clients[client].inbox.push_back(Told::Event(event.clone()));
        }
        self.clients[client].inbox.push_back(Told::Event(event));
        let count = self.clients[client].inbox.len();
        let both = |inbox: &VecDeque<Told>| {
            matches!(inbox.range(count - 2..).collect::<Vec<_>>()[..], [Told::Event(_), Told::Event(_)])
        };
        if count > 2 && both(&self.clients[client].inbox) && self.errs(Mistake::SwapsDeliveries) {
            self.clients[client].inbox.swap(count - 2, count - 1);
        }
    }

    fn take(&mut self, client: usize) {
        let Some(told) = self.clients[client].inbox.pop_front() else { return };
        match told {
            Told::Welcome { who, resumed, head, time } => {
                let local = self.receive(client, time);
                let person = &mut self.clients[client];
                (person.who, person.phase) = (who, Phase::Online);
                if !resumed {
                    person.position = 0;
                }
                let event = if resumed { "resumed" } else { "connected" };
                self.say(
                    client,
                    json!({"event": event, "sequence": head, "logical_time": time, "local_time": local}),
                );
            }
            Told::Event(event) => self.deliver(client, &event),
        }
    }

    fn deliver(&mut self, client: usize, event: &Event) {
        let before = self.clients[client].clock;
        let mut local = self.receive(client, event.time);
        if event.time > before + 1 && self.errs(Mistake::ClientIgnoresTime) {
            local = before + 1;
        } else if self.errs(Mistake::DeliveryWithoutTick) {
            local = before.max(event.time);
        }
        self.clients[client].clock = local;
        let mut record = json!({"event": "event_delivered", "epoch": EPOCH, "participant_id": format!("p{}", event.who),
            "display_name": event.name, "sequence": event.sequence, "logical_time": event.time, "local_time": local,
            "kind": event.kind, "content": event.content});
        match event.kind {
            "message" => {
                (record["message_id"], record["sent_logical_time"]) = (json!(event.id), json!(event.sent));
                record["seen_sequence"] = json!(event.seen);
            }
            "left" => record["reason"] = json!(event.reason),
            _ => {}
        }
        self.clients[client].position = event.sequence;
        self.say(client, record);
        if self.errs(Mistake::TellsPhantom) {
            let head = self.head() + 1_000;
            let event = Event { sequence: head, time: event.time + 50, ..event.clone() };
            let local = self.receive(client, event.time);
            self.say(
                client,
                json!({"event": "event_delivered", "epoch": EPOCH, "participant_id": format!("p{}", event.who),
                "display_name": event.name, "sequence": head, "logical_time": event.time, "local_time": local,
                "kind": event.kind, "content": event.content}),
            );
        }
    }

    fn hear(&mut self, client: usize) {
        let Some(answer) = self.clients[client].answers.pop_front() else { return };
        match answer {
            Answer::Published { id, sequence, time } => {
                let before = self.clients[client].clock;
                let mut local = self.receive(client, time);
                if self.errs(Mistake::AckWithoutTick) {
                    local = before;
                    self.clients[client].clock = before;
                }
                self.clients[client].in_flight = false;
                self.clients[client].outbox.pop_front();
                self.say(
                    client,
                    json!({"event": "publish_acknowledged", "message_id": id, "sequence": sequence,
                    "logical_time": time, "local_time": local}),
                );
            }
            Answer::Refused { id, text, reason } => {
                self.clients[client].in_flight = false;
                self.clients[client].outbox.pop_front();
                self.say(
                    client,
                    json!({"event": "publish_refused", "message_id": id, "content": text, "reason": reason}),
                );
            }
            Answer::Left { sequence, time } => {
                while !self.clients[client].inbox.is_empty() {
                    self.take(client);
                }
                let local = self.receive(client, time);
                self.say(
                    client,
                    json!({"event": "leave_acknowledged", "sequence": sequence, "logical_time": time,
                    "local_time": local}),
                );
                self.say(client, json!({"event": "client_stopped"}));
                let person = &mut self.clients[client];
                person.phase = Phase::Gone;
                person.requests.clear();
                person.answers.clear();
            }
            Answer::NoStream(reason) => {
                self.say(client, json!({"event": "disconnected", "reason": reason}));
                for draft in std::mem::take(&mut self.clients[client].outbox) {
                    self.say(
                        client,
                        json!({"event": "publish_refused", "message_id": draft.id, "content": draft.text,
                        "reason": "UNCONFIRMED"}),
                    );
                }
                let person = &mut self.clients[client];
                (person.in_flight, person.phase) = (false, Phase::Away);
                (person.who, person.position) = (0, 0);
                person.requests.clear();
                person.answers.clear();
                person.inbox.clear();
            }
        }
    }

    /// What a service does wrong without being asked.
    fn wrong_by_itself(&mut self) {
        if self.service.journal.len() < 4 {
            return;
        }
        let Some((who, name)) = self.service.active.iter().next().map(|(who, name)| (*who, name.clone())) else {
            return;
        };
        if self.errs(Mistake::MessageFromNobody) {
            let event = Event { content: "boo".into(), id: "x".into(), ..self.blank(9_999, "message") };
            self.broadcast(event);
        }
        let writer = self
            .clients
            .iter()
            .find(|client| client.who == who && client.phase == Phase::Online && client.position > who);
        if writer.is_some() {
            if self.errs(Mistake::Forges) {
                let event = Event { content: "forged".into(), id: "forged".into(), ..self.blank(who, "message") };
                self.broadcast(event);
            }
            if self.service.streams.contains_key(&who) && self.errs(Mistake::LeavesUnasked) {
                let event = Event { reason: "REQUESTED", name, ..self.blank(who, "left") };
                self.broadcast(event);
            }
            if self.service.streams.contains_key(&who) && self.errs(Mistake::ExpiresConnected) {
                self.expire(who);
            }
        }
    }

    /// All that is under way arrives, those who are here stay, and the service stops a minute later.
    fn finish(&mut self) {
        if !self.service.up {
            self.restart();
        }
        for _ in 0..20 {
            for client in 0..self.clients.len() {
                match self.clients[client].phase {
                    Phase::Offline => self.resume(client),
                    _ => {
                        for _ in 0..3 {
                            self.send_pending(client);
                            self.serve(client);
                            self.hand_over(client);
                            while !self.clients[client].inbox.is_empty() {
                                self.take(client);
                            }
                            self.hear(client);
                        }
                    }
                }
            }
        }
        self.pass(60 * SECOND);
        for client in 0..self.clients.len() {
            self.hand_over_all(client);
            while !self.clients[client].inbox.is_empty() {
                self.take(client);
            }
        }
        self.pass(10 * SECOND);
        self.note(json!({"event": "server_stopping"}));
        let (head, time) = (self.head(), self.service.clock);
        self.note(json!({"event": "server_stopped", "sequence": head, "logical_time": time}));
    }

    fn send_pending(&mut self, client: usize) {
        if !self.clients[client].outbox.is_empty() {
            self.send(client);
        }
    }

    fn logs(mut self) -> (Logs, bool) {
        let mut logs = vec![JsonLog { name: "server.jsonl".into(), records: tidy(self.service.log.clone()) }];
        for mistake in [Mistake::CopyHasOtherText, Mistake::CopyHasOtherTime] {
            if self.mistake != Some(mistake) {
                continue;
            }
            let mut copy = JsonLog { name: "copy.jsonl".into(), records: logs[0].records.clone() };
            if let Some(record) = copy.records.iter_mut().find(|record| record["event"] == "message_broadcast") {
                match mistake {
                    Mistake::CopyHasOtherText => record["content"] = json!("other"),
                    _ => record["logical_time"] = json!(record["logical_time"].as_u64().unwrap() + 1),
                }
                logs.push(copy);
                self.made = true;
            }
        }
        for client in std::mem::take(&mut self.clients) {
            if !client.log.is_empty() {
                logs.push(JsonLog { name: format!("client-{}.jsonl", client.name), records: tidy(client.log) });
            }
        }
        (Logs(logs), self.made)
    }
}

fn orderly_end(log: &[Value]) -> bool {
    log.last().is_some_and(|record| record["event"] == "server_stopped")
}

fn broadcast_record(event: &Event, recipients: usize) -> Value {
    let verb = match event.kind {
        "joined" => "join_broadcast",
        "left" => "leave_broadcast",
        _ => "message_broadcast",
    };
    let mut record = json!({"event": verb, "participant_id": format!("p{}", event.who), "display_name": event.name,
        "sequence": event.sequence, "logical_time": event.time, "local_time": event.time,
        "sent_logical_time": event.sent, "kind": event.kind, "content": event.content, "recipients": recipients});
    match event.kind {
        "message" => (record["message_id"], record["seen_sequence"]) = (json!(event.id), json!(event.seen)),
        "left" => record["reason"] = json!(event.reason),
        _ => {}
    }
    record
}

fn tidy(records: Vec<Value>) -> Vec<Value> {
    let without_nulls = |record| match record {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    };
    records.into_iter().map(without_nulls).collect()
}
