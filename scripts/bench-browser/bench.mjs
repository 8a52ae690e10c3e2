// How long an event takes from PUBLISH to the screen, and how long the page's main thread
// is ever busy at a thousand events a second. Five runs, each with a gateway, a Redis and
// a page of its own; prints a table and writes the figures to FOLDER/browser.json.
//
// Usage: node bench.mjs GATEWAY FOLDER
// Exits with 1 when a bar is missed.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";

import { launch } from "../browser/chromium.mjs";
import { Screen } from "../browser/screen.mjs";
import { World } from "../browser/world.mjs";
import { drawTable, judged, median } from "./figures.mjs";
import { latencies, longestTask } from "./measure.mjs";

const RUNS = 5;

const [gateway, folder] = process.argv.slice(2);

async function measured(browser, run) {
  const world = await World.open({ gateway }, `${folder}/browser-${run}`, { every: "5s" });
  const screen = await Screen.open(browser, folder);
  try {
    await world.start();
    return { run, ...(await latencies(world, screen)), ...(await longestTask(world, screen)) };
  } finally {
    await screen.context.close();
    await world.stop();
  }
}

const browser = await launch();
const version = browser.version();
const runs = [];
try {
  for (let run = 1; run <= RUNS; run += 1) {
    runs.push(await measured(browser, run));
    console.error(`run ${run} of ${RUNS} is over`);
  }
} finally {
  await browser.close();
}

const medians = { run: "median" };
for (const name of Object.keys(runs[0]).filter((each) => each !== "run")) medians[name] = median(runs.map((run) => run[name]));
const bars = judged(runs, medians);
console.log(drawTable([...runs, medians]));
for (const { text, reached } of bars) console.log(`${reached ? "reached" : "MISSED "}  ${text}`);
const machine = { processor: cpus()[0]?.model, processors: cpus().length, node: process.version, chromium: version };
writeFileSync(`${folder}/browser.json`, `${JSON.stringify({ machine, runs, medians, bars }, null, 2)}\n`);
console.log(`the figures: ${folder}/browser.json`);
process.exit(bars.every(({ reached }) => reached) ? 0 : 1);
