// The figures: what the server says is right, and what the events add in between.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Figures } from "../src/model/figures.js";

const MINUTE = 60_000;
const START = 1_700_000_040_000;

function view(path, visitor = "v", referrer = null) {
  return { type: "page_view", visitor_id: visitor, data: { path, referrer } };
}

function take(figures, event, now = START) {
  figures.take(event, event.type === "page_view" ? event.data : null, now);
}

const DOCUMENT = {
  current_visitors: 12, unique_today: 145, total_events: 2_340, events_today: 200, letters_today: 23,
  last_30_minutes: [...new Array(29).fill(1), 7],
  top_pages: [{ path: "/", views: 12 }, { path: "/a", views: 11 }],
  top_referrers: [{ referrer: "search.example", views: 3 }],
  timestamp: 1_733_683_200,
};

test("without a server the page counts what it sees", () => {
  const figures = new Figures(START);
  take(figures, view("/a", "one", "https://news.example/item"));
  take(figures, view("/b", "two"));
  take(figures, view("/a", "one"));
  take(figures, { type: "order" });
  const { people, peopleByServer, unique, total, today, halfHour } = figures.read(START);
  assert.deepEqual({ people, peopleByServer, unique, total, today, halfHour },
    { people: 2, peopleByServer: false, unique: 2, total: 4, today: null, halfHour: 3 });
  assert.deepEqual(figures.tops(), { pages: [["/a", 2], ["/b", 1]], referrers: [["news.example", 1]] });
});

test("who was not seen for five minutes is gone, and after half an hour so are the views", () => {
  const figures = new Figures(START);
  take(figures, view("/a", "one"));
  take(figures, view("/b", "two"), START + 4 * MINUTE);
  assert.equal(figures.read(START + 5 * MINUTE).people, 1);
  assert.equal(figures.read(START + 29 * MINUTE).halfHour, 2);
  assert.equal(figures.read(START + 30 * MINUTE).halfHour, 1);
  assert.deepEqual(figures.tops().pages, [["/b", 1]]);
  const later = figures.read(START + 100 * MINUTE);
  assert.deepEqual([later.halfHour, later.people, later.total], [0, 0, 2]);
});

test("a snapshot replaces, events increment, and the next snapshot is right again", () => {
  const figures = new Figures(START);
  take(figures, view("/mine"));
  figures.replace(DOCUMENT, START);
  take(figures, view("/a", "v", "https://search.example/?q=1"));
  take(figures, view("/a", "v", "https://own.example/"));
  take(figures, { type: "order" });
  const now = figures.read(START);
  assert.deepEqual([now.people, now.unique, now.total, now.today], [12, 145, 2_342, 202]);
  assert.equal(now.minutes[29], 9);
  assert.deepEqual(now.extras, [["letters today", 23]]);
  // A host that the server does not list may be the site's own.
  assert.deepEqual(figures.tops(), { pages: [["/a", 13], ["/", 12]], referrers: [["search.example", 4]] });
  figures.replace(DOCUMENT, START);
  assert.equal(figures.read(START).total, 2_340);
  assert.deepEqual(figures.tops().pages, [["/", 12], ["/a", 11]]);
});

test("each total says itself whether the server knows it", () => {
  const total = (document) => {
    const figures = new Figures(START);
    figures.replace(document, START);
    take(figures, view("/a"));
    take(figures, { type: "order" });
    const { total, totalByServer, uniqueByServer } = figures.read(START);
    return [total, totalByServer, uniqueByServer];
  };
  // The server's total is of page views; the page's own, of all that it saw.
  assert.deepEqual(total({ total_events: 70 }), [71, true, false]);
  assert.deepEqual(total({ unique_today: 3 }), [2, false, true]);
  assert.deepEqual(total({ peers_online: 15 }), [2, false, false]);
});

test("a total that the server no longer tells is the page's own", () => {
  const figures = new Figures(START);
  take(figures, view("/a"));
  figures.replace(DOCUMENT, START);
  take(figures, { type: "order" });
  figures.replace({ unique_today: 146 }, START);
  const { total, totalByServer } = figures.read(START);
  assert.deepEqual([total, totalByServer], [2, false]);
});

test("a document of whatever shape breaks nothing", () => {
  for (const document of [null, [], "x", 7, {}, { current_visitors: "12", total_events: -1 },
    { last_30_minutes: [1, "x", null, 1e400, 1e308], top_pages: [null, 7, { path: 7 }, { path: "/", views: "1" }] },
    { top_pages: {}, last_30_minutes: 3, total_events: NaN }]) {
    const figures = new Figures(START);
    figures.replace(document, START);
    take(figures, view("/a"));
    const { people, total, minutes } = figures.read(START);
    assert.equal(minutes.length, 30);
    assert.ok(minutes.every((views) => views <= 2));
    assert.deepEqual([people, total], [1, 1]);
    assert.deepEqual(figures.tops().pages, [["/a", 1]]);
  }
});

test("any number of names and visitors is bounded", () => {
  const figures = new Figures(START);
  for (let n = 0; n < 30_000; n += 1) take(figures, view(`/${n}`, `visitor ${n}`, `https://h${n}.example/`));
  assert.equal(figures.read(START).people, 20_000);
  // A name that comes when there are too many is not counted, however often it comes.
  for (let n = 0; n < 50; n += 1) take(figures, view("/late", "v", "https://late.example/"));
  const { pages, referrers } = figures.tops();
  assert.deepEqual([pages[0], referrers[0]], [["/0", 1], ["h0.example", 1]]);
});
