// A thousand events a second for twenty seconds: every one is counted, those that show
// are in order, and the page neither stalls nor grows.

import { setTimeout as sleep } from "node:timers/promises";

import { check } from "../browser/report.mjs";
import { CHANNEL, statistics, view } from "../browser/world.mjs";

const RATE = 1_000;
const SECONDS = 20;
// Three times what `make bench-browser` holds the page to. By the clock, so a busy
// machine adds to it.
const LONGEST_TASK_MS = 300;
// Twenty thousand events that were kept would be some ten times that.
const HEAP_GROWTH_BYTES = 1 << 20;
// Rows of lists that were short before; twenty thousand would be far more.
const MORE_ELEMENTS = 1_500;
const WARM = 500;

// Of each ten events, in the order that they will be ranked in.
const REFERRERS = ["search.example", "news.example", "social.example"];
const SHARES = [5, 3, 2];
const TURN = REFERRERS.flatMap((name, at) => Array(SHARES[at]).fill(name));

const event = (path, n) => view(path, { referrer: `https://${TURN[n % 10]}/item` });

export async function load(stage) {
  // Between two readings of the statistics the page counts by itself; here it does so
  // all the time.
  const world = await stage.world({ every: "10m" });
  await world.writeStatistics(statistics({ total_events: 0, top_referrers: REFERRERS.map((referrer) => ({ referrer, views: 0 })) }));
  const screen = await stage.screen();
  await screen.live(world.url);
  await world.subscribed();
  await warmed(world, screen);
  const before = { heap: await screen.heap(), elements: await screen.elements(), spoken: (await screen.probe()).spoken.length };
  let run = await underLoad(world, screen, 0);
  let published = WARM + run.received;
  if (run.longestTask > LONGEST_TASK_MS) {
    // A block of the page's own making comes again; one that other programs made may not.
    console.log(`        load: once more after ${run.figures}`);
    run = await underLoad(world, screen, RATE * SECONDS);
    published += run.received;
  }
  check(run.received === RATE * SECONDS, "load: published as fast as it should",
    `${run.received} events, ${Math.round(run.received / run.took)}/s`);
  check(run.longestTask <= LONGEST_TASK_MS, "load: the page stays responsive", run.figures);
  check(Math.abs(run.rate - RATE) <= RATE / 5, "load: the page shows how many come each second", `${run.rate}`);
  await counted(screen, published);
  await inOrder(screen, run.last);
  await bounded(screen, before);
}

// The lists are full and everything has been compiled once; what grows after this grows
// with the events.
async function warmed(world, screen) {
  await world.link.publishAtRate(CHANNEL, WARM, 1, (n) => event(`/warm/${n}`, n));
  await screen.shows(`/warm/${WARM - 1}`);
  await sleep(500);
}

async function underLoad(world, screen, first) {
  await screen.page.evaluate(() => {
    Object.assign(window.redcastProbe, { longestTask: 0, longestFrame: 0, frames: 0, seen: {}, disorder: [] });
  });
  const flood = world.link.publishAtRate(CHANNEL, RATE, SECONDS, (n) => event(`/mark/${first + n}`, n));
  await sleep((SECONDS - 2) * 1_000);
  const rate = await screen.number("#rate");
  const { received, took } = await flood;
  const frames = (await screen.probe()).frames / took;
  // A long task is told of after its end.
  await sleep(500);
  const { longestTask, longestFrame } = await screen.probe();
  const figures = `longest task ${longestTask === 0 ? "under 50" : Math.round(longestTask)} ms, ` +
    `${Math.round(frames)} frames/s, longest between two ${Math.round(longestFrame)} ms`;
  return { received, took, rate, longestTask, figures, last: first + RATE * SECONDS - 1 };
}

// Every event once: the sum is exact, and so is how often each referrer sent somebody.
async function counted(screen, published) {
  const total = await screen.figure("#total-events", published);
  // One too many would come late as well.
  await sleep(500);
  check(total === published && (await screen.number("#total-events")) === published, "load: every event is counted, once",
    `${total} of ${published}`);
  const order = await screen.keys("#referrers");
  const texts = await screen.page.locator("#referrers > li").evaluateAll((rows) => rows.map((row) => row.textContent.replaceAll(/[^\d]/g, "")));
  const right = REFERRERS.every((name, at) => order[at] === name && texts[at].includes(`${(published * SHARES[at]) / 10}`));
  check(right, "load: the referrers are counted and ranked", order.map((name, at) => `${name} ${texts[at]}`).join(", "));
}

async function inOrder(screen, last) {
  await screen.shows(`/mark/${last}`, 5_000).catch(() => {});
  const { disorder, seen } = await screen.probe();
  check(disorder.length === 0, "load: what shows is in order, each time",
    disorder.join("; ") || `${Object.keys(seen).length} rows were seen`);
  const numbers = (await screen.ticker()).map((row) => Number(/^\/mark\/(\d+)$/.exec(row)?.[1]));
  const wanted = numbers.map((_, place) => last - place);
  check(numbers.length >= 5 && numbers.join() === wanted.join(), "load: in the end the newest events show, none left out",
    `${numbers.length} rows, from ${numbers[0]} to ${numbers.at(-1)}`);
}

async function bounded(screen, before) {
  await screen.page.evaluate(() => Object.assign(window.redcastProbe, { seen: {} }));
  const after = { heap: await screen.heap(), elements: await screen.elements() };
  const [was, is] = [before.heap, after.heap].map((bytes) => `${Math.round(bytes / 1024)} KiB`);
  check(after.heap - before.heap < HEAP_GROWTH_BYTES, "load: the heap does not grow with the events", `${was} before, ${is} after`);
  check(after.elements - before.elements < MORE_ELEMENTS, "load: nor does the document",
    `${before.elements} elements before, ${after.elements} after`);
  const spoken = (await screen.probe()).spoken.slice(before.spoken);
  check(spoken.length <= 2, "load: a screen reader is left in peace",
    `${spoken.length} announcements ${spoken.slice(0, 3).map(({ region, text }) => `${region}: ${text}`).join(" | ")}`);
  await screen.judgedTwice("loaded");
}
