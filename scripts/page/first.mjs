// What a visitor sees first: an empty page, the first event, the second visitor, and the
// figures that a producer keeps in Redis.

import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { until } from "../browser/programs.mjs";
import { CHANNEL, statistics, view } from "../browser/world.mjs";
import { check } from "../browser/report.mjs";
import { PHONE, TELEVISION, DESKTOP } from "../browser/screen.mjs";

const QUIET_MS = 2_500;
// Three times what `make bench-browser` holds the page to, on a machine that does other
// things as well.
const PIXELS_WITHIN_MS = 300;
const PUBLISHED = 20;
const SETTLED_WITHIN_MS = 5_000;

const NOTHING = {
  current_visitors: 0, unique_today: 0, total_events: 0, events_today: 0, views_last_minute: 0,
  last_30_minutes: Array(30).fill(0), top_pages: [], top_referrers: [],
};

// A page on which nothing happened yet.
export async function empty(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics(NOTHING));
  const screen = await stage.screen();
  await screen.live(world.url);
  await sleep(QUIET_MS);
  await screen.inState("live");
  const people = await screen.figure("#people", 1);
  check(people === 1, "empty: the only one who looks is counted", people);
  const rate = await screen.number("#rate");
  check(rate === 0, "empty: no page views a second", `${rate}`);
  const rows = [await screen.rows(), await screen.rows("#pages"), await screen.rows("#referrers")];
  check(rows.every((count) => count === 0), "empty: no row anywhere", rows.join(", "));
  const spoken = (await screen.probe()).spoken.length;
  await sleep(QUIET_MS);
  const later = (await screen.probe()).spoken.length - spoken;
  check(later === 0, "empty: a beat without news is not spoken", `${later} times`);
  await everySize(screen, "empty");
}

// A state at each size of window, in both themes.
export async function everySize(screen, state) {
  await screen.judgedTwice(`${state}, desktop`);
  await screen.page.setViewportSize(PHONE);
  await screen.judgedTwice(`${state}, phone`);
  await screen.page.setViewportSize(TELEVISION);
  await screen.page.keyboard.press("t");
  await screen.page.waitForSelector("body[data-tv]");
  await screen.judged(`${state}, TV`);
  await screen.page.keyboard.press("t");
  await screen.page.waitForSelector("body:not([data-tv])");
  await screen.page.setViewportSize(DESKTOP);
}

// redis-cli, as in the README, is all it takes.
export async function live(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const screen = await stage.screen();
  await screen.live(world.url);
  await world.subscribed();
  let waits = await waitsFor(world, screen, 0);
  if (slowest(waits) > PIXELS_WITHIN_MS) {
    // A page that is slow by itself is slow again; one that had to wait for others is not.
    console.log(`        live: once more after ${waits.join(", ")} ms`);
    waits = await waitsFor(world, screen, PUBLISHED);
  }
  check(slowest(waits) <= PIXELS_WITHIN_MS, "redis-cli PUBLISH: seen soon after",
    `19 of 20 within ${slowest(waits)} ms of redis-cli's start`);
}

// Publishes one after another. Resolves to how long each took from the start of redis-cli
// to the frame that shows it.
async function waitsFor(world, screen, first) {
  const begun = {};
  for (let n = first; n < first + PUBLISHED; n += 1) {
    begun[n] = performance.timeOrigin + performance.now();
    const { stdout } = await promisify(execFile)("redis-cli",
      ["-h", "127.0.0.1", "-p", `${world.redisPort}`, "PUBLISH", CHANNEL, view(`/mark/${n}`)]);
    if (stdout.trim() !== "1") throw new Error(`redis-cli says ${stdout}`);
    await screen.page.waitForFunction((at) => window.redcastProbe.seen[at] > 0, n);
  }
  const { seen } = await screen.probe();
  return Object.keys(begun).map((n) => Math.round(seen[n] - begun[n])).sort((a, b) => a - b);
}

function slowest(waits) {
  return waits[Math.ceil(waits.length * 0.95) - 1];
}

// Each open page is a visitor, and so is the one in the second tab.
export async function people(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const first = await stage.screen();
  await first.live(world.url);
  const alone = await first.figure("#people", 1);
  const second = await stage.screen({ context: first.context });
  await second.live(world.url);
  const both = [await first.figure("#people", 2), await second.figure("#people", 2)];
  await second.close();
  const again = await first.figure("#people", 1);
  check([alone, ...both, again].join() === "1,2,2,1", "a second tab is a second visitor, and gone when it is closed",
    `${alone}, then ${both.join(" and ")}, then ${again}`);
}

// What the producer wrote is shown, and what it writes next takes its place.
export async function figures(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const screen = await stage.screen();
  await screen.live(world.url);
  const [unique, total] = [await screen.figure("#unique-today", 145), await screen.figure("#total-events", 2_340)];
  check(unique === 145 && total === 2_340, "the totals are those in Redis", `${unique}, ${total}`);
  await ranked(screen, "#pages", ["/pricing", "/", "/docs/install"]);
  await ranked(screen, "#referrers", ["search.example", "news.example"]);
  await reranked(world, screen);
  await world.subscribed();
  for (let n = 0; n < 30; n += 1) await world.publish(view(`/mark/${n}`, { country: ["NO", "FR", "BR"][n % 3] }));
  await screen.shows("/mark/29");
  await everySize(screen, "full");
  await forgotten(world, screen);
}

async function ranked(screen, list, wanted) {
  const order = () => screen.keys(list).then((keys) => keys.slice(0, wanted.length).join(", "));
  await until(`${list} is in order`, async () => (await order()) === wanted.join(", "), SETTLED_WITHIN_MS).catch(() => {});
  check((await order()) === wanted.join(", "), `${list} in the order of Redis`, await order());
}

// A row that climbs is the same row, so that it can move there and keep the focus.
async function reranked(world, screen) {
  await screen.page.evaluate(() => {
    for (const row of document.querySelectorAll("#pages > li")) row.redcastWas = row.dataset.key;
  });
  await world.writeStatistics(statistics({
    top_pages: [{ path: "/docs/install", views: 141 }, { path: "/pricing", views: 120 }, { path: "/new", views: 99 }],
  }));
  await ranked(screen, "#pages", ["/docs/install", "/pricing", "/new"]);
  const kept = await screen.page.locator("#pages > li").evaluateAll((rows) =>
    rows.filter((row) => row.redcastWas === row.dataset.key).map((row) => row.dataset.key));
  check(kept.join() === "/docs/install,/pricing", "#pages: a row that climbs is the same element", kept.join(", "));
}

// Old figures are better than none, if the page says that they are old.
async function forgotten(world, screen) {
  await world.forgetStatistics();
  await screen.inState("stale");
  const total = await screen.number("#total-events");
  check(total >= 2_340, "statistics gone from Redis: the last ones stay, called stale",
    `${await screen.text("#connection-text")}, ${total}`);
  await screen.judgedTwice("stale");
  await world.writeStatistics(statistics({ unique_today: 146 }));
  await screen.inState("live");
  check((await screen.figure("#unique-today", 146)) === 146, "statistics back: shown, and live again");
}
