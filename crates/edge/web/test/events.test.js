// Events as rows: short whatever they are, filtered, held, and never all kept.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hostileEvents } from "../../../../scripts/page/hostile.mjs";
import { readFrame } from "../src/model/frames.js";
import { Notices } from "../src/model/notices.js";
import { describe } from "../src/model/text.js";
import { Ticker } from "../src/model/ticker.js";

const LONGEST = 401;
const HIDDEN = /(?![\t\n\r])[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/u;

// A payload as the gateway would pass it on.
function frame(payload) {
  const text = payload.toString();
  let data = text;
  try {
    JSON.parse(text);
  } catch {
    data = JSON.stringify(text);
  }
  return `{"type":"event","channel":"analytics","data":${data}}`;
}

test("whatever is published becomes one short row without hidden characters", () => {
  const events = hostileEvents();
  assert.ok(events.length > 20);
  for (const event of events) {
    const read = readFrame(frame(event));
    assert.ok(["event", "error"].includes(read.type));
    if (read.type === "error") continue;
    for (const text of Object.values(describe(read))) {
      assert.ok(text.length <= LONGEST && !HIDDEN.test(text), text.slice(0, 80));
    }
  }
});

test("a huge event is cut, not read", () => {
  const read = readFrame(frame(JSON.stringify({ type: "page_view", data: { path: "p".repeat(1 << 20) } })));
  assert.deepEqual([read.type, read.channel], ["event", "analytics"]);
  assert.ok(read.data.length <= 1_024);
  const { what, more } = describe(read);
  assert.match(what, /^\{"type":"page_view"/);
  assert.equal(more, "1024 KiB");
});

test("the filter finds rows of before, and lets through those that come", () => {
  const ticker = new Ticker();
  const add = (what) => ticker.add({ kind: "page view", what, more: "" });
  for (let n = 0; n < 400; n += 1) add(n === 10 ? "/Rare" : `/${n}`);
  assert.equal(ticker.rows().length, 50);
  ticker.filter(" rare ");
  assert.deepEqual(ticker.rows().map(({ what }) => what), ["/Rare"]);
  add("/other");
  add("/rare/2");
  assert.deepEqual(ticker.rows().map(({ what }) => what), ["/rare/2", "/Rare"]);
  ticker.filter("");
  assert.equal(ticker.rows()[1].what, "/other");
});

test("a list that is held stands still and says how many wait", () => {
  const ticker = new Ticker();
  const add = (what) => ticker.add({ kind: "", what, more: "" });
  add("/1");
  ticker.hold();
  for (let n = 0; n < 60; n += 1) add(`/held/${n}`);
  assert.deepEqual([ticker.rows().map(({ what }) => what), ticker.waiting], [["/1"], 60]);
  ticker.release();
  assert.deepEqual([ticker.rows()[0].what, ticker.rows().length, ticker.waiting], ["/held/59", 50, 0]);
});

test("a list that is held twice shows what it showed, and counts from the first time", () => {
  const ticker = new Ticker();
  const add = (what) => ticker.add({ kind: "", what, more: "" });
  add("/1");
  ticker.hold();
  add("/2");
  ticker.hold();
  assert.deepEqual([ticker.rows().map(({ what }) => what), ticker.waiting], [["/1"], 1]);
});

test("notices that are alike are one, and few are kept", () => {
  const notices = new Notices();
  const gap = { type: "gap", channel: "a", reason: "overflow", dropped: 2 };
  for (let n = 0; n < 300; n += 1) notices.add({ ...gap, from: n * 10, to: n * 10 + 5 });
  assert.equal(notices.list().length, 1);
  assert.match(notices.list()[0].text, /600 are known to be lost/);
  for (let n = 0; n < 20; n += 1) notices.add({ type: "error", message: `m${n}` });
  assert.equal(notices.list().length, 5);
});
