// What one run measures.

import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../browser/programs.mjs";
import { CHANNEL, statistics, view } from "../browser/world.mjs";

const EVENTS = 250;
const EVENTS_PER_SECOND = 25;
const RATE = 1_000;
const SECONDS = 10;
const CLOCK_LOOKS = 20;
// Both read the machine's clock; this far the page's may be off before the run is void.
const CLOCKS_AGREE_MS = 2;

// From the moment before PUBLISH is written to the second frame after the one in which
// the page put the event into its document: by then the row can be seen.
export async function latencies(world, screen) {
  await world.writeStatistics(statistics());
  await screen.live(world.url);
  await world.subscribed();
  // The page's code is compiled and its list is full.
  await world.link.publishAtRate(CHANNEL, 100, 1, (n) => view(`/warm/${n}`));
  await screen.shows("/warm/99");
  await sleep(1_000);
  const offset = await clockOffset(screen);
  if (Math.abs(offset) > CLOCKS_AGREE_MS) throw new Error(`the page's clock is ${offset.toFixed(1)} ms off`);
  const published = [];
  for (let n = 0; n < EVENTS; n += 1) {
    published.push(performance.timeOrigin + performance.now());
    world.publish(view(`/mark/${n}`));
    // Visitors come as they like, neither evenly nor in step with the screen.
    await sleep(-Math.log(1 - Math.random()) * (1_000 / EVENTS_PER_SECOND));
  }
  await until("the last event is on the screen", async () => (await screen.probe()).seen[EVENTS - 1] > 0);
  const { seen } = await screen.probe();
  const waits = published.map((at, n) => seen[n] - at).sort((a, b) => a - b);
  if (waits.some(Number.isNaN)) throw new Error("an event never was on the screen");
  const share = (part) => waits[Math.ceil(waits.length * part) - 1];
  return { events: EVENTS, p50: share(0.5), p95: share(0.95), max: share(1) };
}

// How far the page's clock is ahead of ours, by the answer that came soonest.
async function clockOffset(screen) {
  let best = { took: Infinity, offset: 0 };
  for (let look = 0; look < CLOCK_LOOKS; look += 1) {
    const before = performance.timeOrigin + performance.now();
    const there = await screen.page.evaluate(() => performance.timeOrigin + performance.now());
    const after = performance.timeOrigin + performance.now();
    if (after - before < best.took) best = { took: after - before, offset: there - (before + after) / 2 };
  }
  return best.offset;
}

// Browsers tell of tasks of 50 ms and more; 0 means that there was none.
export async function longestTask(world, screen) {
  await screen.page.evaluate(() => {
    Object.assign(window.redcastProbe, { longestTask: 0, longestFrame: 0, frames: 0, seen: {}, disorder: [] });
  });
  const { received, took } = await world.link.publishAtRate(CHANNEL, RATE, SECONDS, (n) => view(`/mark/${n}`));
  await screen.shows(`/mark/${RATE * SECONDS - 1}`);
  // A long task is told of after its end.
  await sleep(500);
  const probe = await screen.probe();
  return {
    rate: received / took, task: probe.longestTask, frame: probe.longestFrame,
    frames: probe.frames / (took + 0.5),
  };
}
