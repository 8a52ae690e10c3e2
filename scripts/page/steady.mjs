// The page while gateway and Redis are well: silent, under load, paused, attacked.

import { setTimeout as sleep } from "node:timers/promises";
import { hostileEvents } from "./hostile.mjs";
import { check } from "./report.mjs";
import { until } from "./servers.mjs";

const QUIET_MS = 4_000;
const RATE = 1_000;
const LOAD_SECONDS = 10;
const ROWS = 50;
// What a person feels as a hitch. By the clock, so a busy machine adds to it.
const LONGEST_BLOCK_MS = 200;
// Ten thousand events that were kept would be twice that.
const HEAP_GROWTH_BYTES = 1 << 20;
const LONGEST_TEXT = 401;

export const view = (path) => JSON.stringify({
  type: "page_view",
  visitor_id: "6f1c1d52-6c58-4d0e-9b0a-3a8c7d5e2f10",
  data: { path, referrer: "https://news.example/item", country: "NO", device: "desktop" },
});

export async function silence(screen, url) {
  await screen.page.goto(url);
  await screen.inState("live");
  await sleep(QUIET_MS);
  const state = await screen.text("#state-text");
  check(state === "live", "no events: the page says live", state);
  const figures = [await screen.text("#count"), await screen.text("#rate")];
  check(figures.every((figure) => figure === "0"), "no events: both figures are 0");
  const empty = screen.page.locator("#empty");
  check((await empty.isVisible()) && (await screen.rows()) === 0, "no events: the empty state shows",
    await empty.textContent());
  check(screen.complaints.length === 0, "no events: no console error, no failed request",
    screen.complaints.join("; "));
  await screen.legible("no events");
  await screen.fits("no events", 360);
}

export async function keyboard({ page }) {
  const reached = [];
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const { id, localName } = document.activeElement;
      return { id: id || localName, outlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    });
    if (at.id === "body" || reached.some(({ id }) => id === at.id)) break;
    reached.push(at);
  }
  const ids = reached.map(({ id }) => id);
  check(ids.includes("copy") && ids.includes("pause"), "Tab reaches both buttons", ids.join(", "));
  const bare = reached.filter(({ outlined }) => !outlined).map(({ id }) => id);
  check(bare.length === 0, "what has the focus is outlined", bare.join(", "));
}

export async function copying({ page }) {
  await page.locator("#copy").click();
  const label = await page.waitForFunction(() =>
    ["Copied", "Selected"].find((word) => document.getElementById("copy").textContent === word));
  check(true, "the command can be copied", await label.jsonValue());
  await page.evaluate(() => getSelection().selectAllChildren(document.getElementById("command")));
  // The page asks the gateway how it fares every five seconds.
  await page.waitForResponse((response) => response.url().endsWith("/api/info"));
  await sleep(200);
  const [selected, command] = await page.evaluate(() =>
    [String(getSelection()), document.getElementById("command").textContent]);
  check(selected === command, "a selection outlives what the page paints", selected);
  await page.evaluate(() => {
    getSelection().removeAllRanges();
    document.activeElement.blur();
  });
}

// Publishes for ten seconds, and measures the page meanwhile.
async function underLoad(screen, publisher) {
  await screen.page.evaluate(() => {
    Object.assign(window.redcastProbe, { longestTask: 0, longestFrame: 0, frames: 0 });
  });
  const { received, took } = await publisher.publishAtRate("analytics", RATE, LOAD_SECONDS,
    (n) => view(`/load/${n}`));
  const frames = (await screen.probe()).frames / took;
  // A long task is told of after its end.
  await sleep(500);
  const { longestTask, longestFrame } = await screen.probe();
  const figures = `longest block of the main thread ${longestTask === 0 ? "under 50" : Math.round(longestTask)} ms, ` +
    `${Math.round(frames)} frames/s, longest between two ${Math.round(longestFrame)} ms`;
  return { received, took, longestTask, figures };
}

export async function load(screen, publisher) {
  const before = { count: await screen.count(), heap: await screen.heap() };
  const spokenBefore = (await screen.probe()).spoken.length;
  let run = await underLoad(screen, publisher);
  let published = run.received;
  if (run.longestTask >= LONGEST_BLOCK_MS) {
    // A block of the page's own making comes again; one that other programs made may not.
    console.log(`        load: once more after ${run.figures}`);
    run = await underLoad(screen, publisher);
    published += run.received;
  }
  await until("all events are counted", async () => (await screen.count()) >= before.count + published)
    .catch(() => {});
  // One too many would come late as well.
  await sleep(500);
  const counted = (await screen.count()) - before.count;
  check(counted === published && run.received === RATE * LOAD_SECONDS, "load: every event is counted, once",
    `${counted} of ${published}, ${Math.round(run.received / run.took)}/s`);
  check(run.longestTask < LONGEST_BLOCK_MS, "load: the page stays responsive", run.figures);
  const shown = await screen.rows();
  check(shown === ROWS, "load: the list is bounded", `${shown} rows`);
  const newest = await screen.newest();
  check(newest === `/load/${run.received - 1}`, "load: the newest event is on top", newest);
  const after = await screen.heap();
  const [was, is] = [before.heap, after].map((bytes) => `${Math.round(bytes / 1024)} KiB`);
  check(after - before.heap < HEAP_GROWTH_BYTES, "load: the heap does not grow with the events",
    `${was} before, ${is} after ${published} events`);
  const spoken = (await screen.probe()).spoken.length - spokenBefore;
  check(spoken === 0, "load: a screen reader is left in peace", `${spoken} announcements`);
  await screen.legible("loaded");
  for (const width of [360, 768]) await screen.fits("loaded", width);
}

export async function pause(screen, publisher) {
  await screen.page.locator("#pause").focus();
  await screen.page.keyboard.press("Space");
  const before = await screen.count();
  for (let n = 1; n <= 3; n += 1) await publisher.publish("analytics", view(`/paused/${n}`));
  await until("the count goes on", async () => (await screen.count()) === before + 3);
  const [top, label, held] = [await screen.newest(), await screen.text("#pause"), await screen.text("#held")];
  check(!top.startsWith("/paused/") && label === "Resume" && held === "paused, 3 new",
    "paused: the list stands still, the count goes on", `${label}, ${held}`);
  await screen.legible("paused");
  await screen.fits("paused", 360);
  await screen.page.keyboard.press("Enter");
  await screen.shows("/paused/3");
  const after = [await screen.text("#pause"), await screen.text("#held"), await screen.newest()];
  check(after.join() === "Pause,,/paused/3", "resumed: what came meanwhile is shown", after.join(" "));
  await screen.page.evaluate(() => document.activeElement.blur());
}

export async function hostile(screen, publisher) {
  const before = await screen.count();
  const events = hostileEvents();
  for (const event of events) await publisher.publish("analytics", event);
  await until("the hostile events are counted", async () => (await screen.count()) === before + events.length);
  // A row that can't be drawn must not take those after it along.
  await publisher.publish("analytics", view("/after"));
  await screen.shows("/after").catch(() => {});
  const seen = await screen.page.evaluate(() => {
    const cells = [...document.querySelectorAll("#events span")].map((cell) => cell.textContent);
    const hidden = /(?![\t\n\r])[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/u;
    const whats = [...document.querySelectorAll("#events .what")].map((cell) => cell.textContent);
    return {
      ran: window.redcastHacked === true,
      elements: document.querySelectorAll("#events :not(li, time, span)").length,
      longest: Math.max(...cells.map((cell) => cell.length)),
      raw: cells.filter((cell) => hidden.test(cell)).length,
      // From the one after the hostile ones to the last one before them.
      rows: whats.indexOf("/paused/3") - whats.indexOf("/after") - 1,
    };
  });
  check(!seen.ran && seen.elements === 0, "hostile: markup is shown as text", `${seen.elements} foreign elements`);
  check(seen.rows === events.length, "hostile: each event has its row", `${seen.rows} of ${events.length}`);
  check(seen.longest <= LONGEST_TEXT, "hostile: long texts are shortened", `longest ${seen.longest} characters`);
  check(seen.raw === 0, "hostile: no control character gets through", `${seen.raw} cells with one`);
  check(screen.thrown.length === 0, "hostile: nothing is thrown", screen.thrown.join("; "));
  await screen.legible("hostile");
  for (const width of [360, 1000]) await screen.fits("hostile", width);
}

export async function motion({ page }) {
  const moving = () => page.evaluate(() => document.getAnimations().length);
  const usual = await moving();
  await page.emulateMedia({ reducedMotion: "reduce" });
  const reduced = await moving();
  check(usual > 0 && reduced === 0, "reduced motion is respected", `${usual} animations, then ${reduced}`);
  await page.emulateMedia({ reducedMotion: "no-preference" });
}
