import assert from "node:assert/strict";
import { test } from "node:test";
import { stretches } from "../../../src/view/parts/links.js";

/** The addresses found in a text, as they are written. Also checks that no part of the text is lost. */
function linksIn(text: string): string[] {
  const found = stretches(text);
  assert.equal(found.map((stretch) => stretch.text).join(""), text);
  return found.filter(({ href }) => href !== null).map((stretch) => stretch.text);
}

test("web addresses are links, and nothing else is", () => {
  assert.deepEqual(linksIn("see https://example.org/a?b=c#d and HTTP://EXAMPLE.ORG"), [
    "https://example.org/a?b=c#d",
    "HTTP://EXAMPLE.ORG",
  ]);
  assert.deepEqual(linksIn("http://127.0.0.1:50051/ http://[::1]:8080/x http://localhost"), [
    "http://127.0.0.1:50051/",
    "http://[::1]:8080/x",
    "http://localhost",
  ]);
  for (const text of [
    "",
    "example.org",
    "www.example.org",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://example.org",
    "xhttps://example.org",
    "https://",
    "http:// a",
    "https://...",
    "https:///x",
    "https://a b",
  ]) {
    assert.deepEqual(linksIn(text), text === "https://a b" ? ["https://a"] : [], text);
  }
});

test("the sentence's punctuation is not part of an address, but balanced brackets are", () => {
  const check = (text: string, ...links: string[]) => assert.deepEqual(linksIn(text), links, text);
  check("https://example.org.", "https://example.org");
  check("https://example.org/?!…", "https://example.org/");
  check("(https://example.org/a)", "https://example.org/a");
  check("(see https://example.org/a_(b)).", "https://example.org/a_(b)");
  check("[a](https://example.org/a), {https://example.org/b}", "https://example.org/a", "https://example.org/b");
  check("[https://example.org](https://example.com)", "https://example.org", "https://example.com");
  check(
    '<https://example.org> "https://example.com" ‘https://example.net’',
    "https://example.org",
    "https://example.com",
    "https://example.net",
  );
  check("（https://example.org/a）、https://example.com。", "https://example.org/a", "https://example.com");
  check("https://example.org/a\nhttps://example.com/b", "https://example.org/a", "https://example.com/b");
});

test("an address with invisible or reordering characters is not a link", () => {
  for (const hidden of [
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\u00ad",
    "\u0007",
    "\u2028",
    "\ufeff",
    "\u2800",
    "\u3164",
    "\u{e0061}",
    "\ue000",
  ]) {
    assert.deepEqual(linksIn(`https://example.org/${hidden}gpj.exe`), [], hidden.codePointAt(0)?.toString(16));
  }
});

test("an address that leads elsewhere than it seems to is not a link", () => {
  for (const text of [
    "https://bank.example@other.example",
    "https://user:word@other.example/",
    "https://bank.example\\@other.example",
    "https://bank.example%2F.other.example",
    "https://exa%mple",
  ]) {
    assert.deepEqual(linksIn(text), [], text);
  }
});

test("a host that is not what it looks like is shown", () => {
  const hostOf = (text: string) => stretches(text)[0]?.host;
  assert.equal(hostOf("https://Example.ORG:8443/x"), null);
  assert.equal(hostOf("https://\u0430\u0440\u0440\u04cf\u0435.com/login"), "xn--80ak6aa92e.com");
  assert.equal(hostOf("https://m\u00fcnchen.example"), "xn--mnchen-3ya.example");
  assert.equal(hostOf("http://0x7f.1/"), "127.0.0.1");
  assert.equal(hostOf("http://2130706433"), "127.0.0.1");
  assert.equal(hostOf("https://\uff45xample.org"), "example.org");
});
