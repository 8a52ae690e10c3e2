// What arrives becomes figures, rows and notices.
//
// A frame only changes plain objects. They are painted together, in a frame of the
// screen, and rankings less often. So a thousand events a second cost a thousand cheap
// counts, and figures and fifty rows twenty-five times.

import { batch } from "@preact/signals";

import { Figures } from "./model/figures.js";
import { readFrame } from "./model/frames.js";
import { Notices } from "./model/notices.js";
import { describe } from "./model/text.js";
import { Ticker } from "./model/ticker.js";
import { Window } from "./model/windows.js";
import * as state from "./state.js";

// A lone event is shown at once. More often than this would cost twice as much, and
// nobody could tell.
const PAINT_EVERY_MS = 40;
const RANK_EVERY_MS = 1_000;
const CALM_LIST_EVERY_MS = 1_000;
const NOTICES_EVERY_MS = 1_000;
// A snapshot may be so many beats late before it is called old.
const BEATS = 3;
const CROWD_SECONDS = 300;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Intake {
  #figures = new Figures(Date.now());
  #ticker = new Ticker();
  #notices = new Notices();
  #seconds = new Window(61, 1_000, performance.now(), null);
  #othersSeen = false;
  #crowd = [];
  #painting = false;
  #paintedAt = -Infinity;
  #listedAt = -Infinity;
  #listTimer = null;
  #rankedAt = -Infinity;
  #noticedAt = -Infinity;
  #noticeTimer = null;
  #snapshotAt = null;
  #toldStale = false;
  #connection = null;

  // A connection whose frames are taken.
  attach(connection) {
    this.#connection = connection;
    setInterval(() => this.#second(), 1_000);
    this.#second();
  }

  frame(text) {
    const frame = readFrame(text);
    const snapshot = state.info.value?.dashboard?.snapshot;
    if (snapshot && (frame.type === snapshot.on_connect || frame.type === snapshot.on_tick)) {
      this.#snapshot(frame);
    } else {
      this.#said(frame);
    }
    this.#paintSoon();
  }

  #said(frame) {
    switch (frame.type) {
      case "event":
        this.#event(frame);
        break;
      case "welcome":
        state.instance.value = String(frame.instance);
        this.#connection.welcomed();
        break;
      case "pong":
        this.#connection.ponged();
        break;
      case "gap":
      case "reset":
        if (state.info.value?.dashboard?.snapshot) this.#connection.refresh();
        this.notice(frame);
        break;
      case "error":
        this.notice(frame);
        break;
    }
  }

  #event(frame) {
    const now = Date.now();
    const { data } = frame;
    const isView = data?.type === "page_view" && typeof data.data?.path === "string";
    this.#figures.take(data, isView ? data.data : null, now);
    this.#seconds.add(performance.now());
    // What was cut may have been a page view.
    if (!isView && frame.size === undefined) this.#othersSeen = true;
    this.#ticker.add({ at: now, ...describe(frame) });
  }

  #snapshot(frame) {
    this.#snapshotAt = performance.now();
    this.#toldStale = frame.stale === true;
    this.#figures.replace(frame.data, Date.now());
  }

  notice(message) {
    this.#notices.add(message);
    const wait = this.#noticedAt + NOTICES_EVERY_MS - performance.now();
    this.#noticeTimer ??= setTimeout(() => {
      this.#noticeTimer = null;
      this.#noticedAt = performance.now();
      state.notices.value = this.#notices.list();
    }, Math.max(0, wait));
  }

  pause(paused) {
    state.paused.value = paused;
    this.#holdOrRelease();
  }

  // Under the pointer the list stands still, so that a row can be read and copied.
  hover(hovered) {
    state.hovered.value = hovered;
    this.#holdOrRelease();
  }

  filter(text) {
    state.filter.value = text;
    this.#ticker.filter(text);
    this.#list();
  }

  #holdOrRelease() {
    if (state.paused.value || state.hovered.value) this.#ticker.hold();
    else this.#ticker.release();
    this.#list();
  }

  // With the next frame of the screen, if the last time is long enough ago.
  #paintSoon() {
    if (this.#painting) return;
    this.#painting = true;
    const paint = () => requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
    });
    const wait = this.#paintedAt + PAINT_EVERY_MS - performance.now();
    if (wait <= 0) paint();
    else setTimeout(paint, wait);
  }

  #paint() {
    this.#paintedAt = performance.now();
    state.figures.value = this.#figures.read(Date.now());
    const wait = calm.matches ? this.#listedAt + CALM_LIST_EVERY_MS - this.#paintedAt : 0;
    if (wait <= 0) this.#list();
    else this.#listTimer ??= setTimeout(() => this.#list(), wait);
  }

  #list() {
    clearTimeout(this.#listTimer);
    this.#listTimer = null;
    const now = performance.now();
    this.#listedAt = now;
    batch(() => {
      state.rows.value = this.#ticker.rows();
      state.waiting.value = this.#ticker.waiting;
      state.anything.value = this.#ticker.any;
      if (now - this.#rankedAt >= RANK_EVERY_MS) this.#rank(now);
    });
  }

  // Seldom, so that rows have the time to travel.
  #rank(now) {
    this.#rankedAt = now;
    state.tops.value = this.#figures.tops();
  }

  #second() {
    const now = performance.now();
    this.#seconds.turn(now);
    const seconds = this.#seconds.counts.slice(0, 60);
    // Three seconds even out single events; a longer mean would lag behind.
    const rate = seconds.slice(-3).reduce((sum, events) => sum + events, 0) / 3;
    const figures = this.#figures.read(Date.now());
    const live = state.link.value.name === "live";
    if (!live) this.#seconds.unknown();
    // Until the server has spoken, nobody knows who is here.
    if (live && (figures.measured || !state.info.value?.dashboard?.snapshot)) {
      this.#crowd.push(figures.people);
      if (this.#crowd.length > CROWD_SECONDS) this.#crowd.shift();
    }
    batch(() => {
      state.figures.value = figures;
      state.pace.value = { rate, seconds, views: !this.#othersSeen };
      state.crowd.value = this.#crowd.slice();
      state.stale.value = this.#isStale(now);
      if (now - this.#rankedAt >= RANK_EVERY_MS / 2) this.#rank(now);
    });
  }

  #isStale(now) {
    const snapshot = state.info.value?.dashboard?.snapshot;
    if (!snapshot || this.#snapshotAt === null || state.link.value.name !== "live") return false;
    const late = Math.max(BEATS * snapshot.every_ms, 3_000);
    return this.#toldStale || now - this.#snapshotAt > late;
  }

  // The connection is new: the time without one does not make its statistics old.
  connected() {
    this.#snapshotAt = performance.now();
  }
}
