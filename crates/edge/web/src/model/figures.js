// The figures: what the server's statistics say, and between two of them what the
// events add. Where the server says nothing, the page counts by itself.

import { Tally } from "./tally.js";
import { referrerHost, shorten } from "./text.js";
import { Visitors } from "./visitors.js";
import { Window } from "./windows.js";

const MINUTE_MS = 60_000;
const LISTED = 10;
const EXTRAS = 6;
const LONGEST_NAME = 200;

// What has a place of its own on the page.
const KNOWN = new Set([
  "current_visitors", "unique_today", "total_events", "events_today", "views_last_minute",
  "last_30_minutes", "top_pages", "top_referrers", "timestamp",
]);

export class Figures {
  // Whether the server has ever said anything.
  measured = false;
  #visitors = new Visitors();
  #minutes;
  #pages = new Tally();
  #referrers = new Tally();
  #people = null;
  #unique = null;
  #total = null;
  // What this page has seen of any kind.
  #events = 0;
  #today = null;
  #extras = [];

  constructor(now) {
    this.#minutes = new Window(30, MINUTE_MS, now);
  }

  // An event of any kind; `view` is the data of a page view, else null.
  take(event, view, now) {
    this.turn(now);
    this.#events += 1;
    if (view === null) return;
    // The server's totals are of page views.
    if (this.#total !== null) this.#total += 1;
    if (this.#today !== null) this.#today += 1;
    this.#minutes.add(now);
    if (this.#people === null || this.#unique === null) this.#visitors.see(event.visitor_id, now);
    this.#pages.add(shorten(view.path, LONGEST_NAME) || "(empty)");
    const host = referrerHost(view.referrer);
    // The server leaves out the site's own hosts, which the page does not know.
    if (host !== null && (!this.measured || this.#referrers.has(host))) this.#referrers.add(host);
  }

  // The server's statistics, which are right whatever the page has counted.
  replace(document, now) {
    if (typeof document !== "object" || document === null) return;
    this.turn(now);
    this.measured = true;
    this.#people = figure(document.current_visitors);
    this.#unique = figure(document.unique_today);
    this.#today = figure(document.events_today);
    this.#total = figure(document.total_events);
    const minutes = document.last_30_minutes;
    if (Array.isArray(minutes)) this.#minutes.replace(minutes.slice(-30).map((n) => figure(n) ?? 0), now);
    const { top_pages: pages, top_referrers: referrers } = document;
    if (Array.isArray(pages)) this.#pages.replace(entries(pages, "path"));
    if (Array.isArray(referrers)) this.#referrers.replace(entries(referrers, "referrer"));
    this.#extras = extras(document);
  }

  turn(now) {
    const begun = this.#minutes.turn(now);
    if (begun === 0) return;
    this.#pages.turn(begun);
    this.#referrers.turn(begun);
  }

  read(now) {
    this.turn(now);
    const minutes = this.#minutes.counts;
    return {
      people: this.#people ?? this.#visitors.here(now),
      measured: this.measured,
      peopleByServer: this.#people !== null,
      unique: this.#unique ?? this.#visitors.seen,
      uniqueByServer: this.#unique !== null,
      total: this.#total ?? this.#events,
      totalByServer: this.#total !== null,
      today: this.#today,
      minutes,
      halfHour: minutes.reduce((sum, views) => sum + views, 0),
      extras: this.#extras,
    };
  }

  // The lists, as [name, views]; apart, because sorting each frame would be wasted.
  tops() {
    return { pages: this.#pages.top(LISTED), referrers: this.#referrers.top(LISTED) };
  }
}

// More than any site has; what is more is no figure but a mistake.
const MOST = 1e15;

function figure(value) {
  return typeof value === "number" && value >= 0 && value <= MOST ? value : null;
}

function entries(list, name) {
  return list.slice(0, LISTED).flatMap((entry) => {
    const views = figure(entry?.views);
    const text = entry?.[name];
    return typeof text === "string" && views !== null ? [[shorten(text, LONGEST_NAME), views]] : [];
  });
}

// Figures of a producer's own that the page has no words for.
function extras(document) {
  const own = Object.entries(document).filter(([name, value]) => !KNOWN.has(name) && figure(value) !== null);
  return own.slice(0, EXTRAS).map(([name, value]) => [shorten(name, 40).replaceAll("_", " "), value]);
}
