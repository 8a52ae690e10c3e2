// The gateway's page in a real browser: empty, full, under load, attacked, and through
// the loss of the gateway and of Redis; and the script that counts views on other sites.
// Prints a line for each thing it checks, and takes a picture of each state for human
// eyes.
//
// Usage: node page.mjs GATEWAY PRODUCER FOLDER [CHAPTER...]

import { launch } from "../browser/chromium.mjs";
import { check, failed } from "../browser/report.mjs";
import { Screen } from "../browser/screen.mjs";
import { World } from "../browser/world.mjs";
import { empty, figures, live, people } from "./first.mjs";
import { filter, keyboard, motion, pause, television } from "./hands.mjs";
import { hostile } from "./attacked.mjs";
import { load } from "./load.mjs";
import { gatewayAway, gatewayDies, instances, noticeFlood, redisDies } from "./outages.mjs";
import { demo, replay } from "./producers.mjs";
import { streams } from "./streams.mjs";
import { tracker } from "./tracker.mjs";

const CHAPTERS = {
  empty, live, people, figures, keyboard, pause, filter, television, motion, hostile, load,
  instances, gatewayAway, gatewayDies, redisDies, noticeFlood, streams, tracker, demo, replay,
};
// These hold the page to times, so that nothing else may run. The others mostly wait.
const ALONE = [live, load];
const AT_ONCE = 2;
// There the browser itself complains, about connections that are refused.
const OUTAGES = [gatewayAway, gatewayDies, redisDies, streams];

const [gateway, producer, folder, ...names] = process.argv.slice(2);
const unknown = names.filter((name) => !(name in CHAPTERS));
if (unknown.length > 0) {
  console.log(`no chapter ${unknown.join(", ")}; there are: ${Object.keys(CHAPTERS).join(", ")}`);
  process.exit(2);
}
const wanted = names.length === 0 ? Object.keys(CHAPTERS) : names;

const browser = await launch();

// Each chapter has a gateway and a Redis of its own, so that none depends on another.
async function tell(name) {
  const chapter = CHAPTERS[name];
  const begun = performance.now();
  const screens = [];
  const worlds = [];
  const begin = async (world) => {
    worlds.push(world);
    await world.start();
    return world;
  };
  const binaries = { gateway, producer };
  const stage = {
    world: async (options) => begin(await World.open(binaries, `${folder}/${name}`, options)),
    demo: async () => begin(await World.demo(binaries, `${folder}/${name}`)),
    screen: async (options) => {
      const screen = await Screen.open(browser, folder, options);
      screens.push(screen);
      return screen;
    },
  };
  try {
    await chapter(stage);
    for (const screen of screens) await unharmed(name, screen, OUTAGES.includes(chapter));
  } catch (error) {
    check(false, `${name}: ended early`, told(error));
    await screens[0]?.picture(`failed ${name}`).catch(() => {});
  } finally {
    for (const context of new Set(screens.map((screen) => screen.context))) await context.close();
    for (const world of worlds) await world.stop();
  }
  console.log(`        ${name} took ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
}

// Where it was, without what the driver tried meanwhile.
function told(error) {
  const where = error.stack.split("\n").find((line) => line.includes("/scripts/")) ?? "";
  return `${error.message.split("\n")[0]} ${where.trim()}`;
}

async function unharmed(name, screen, outage) {
  const refused = screen.page.isClosed() ? [] : (await screen.probe()).refused;
  const bad = [...screen.thrown, ...refused, ...(outage ? [] : screen.complaints)];
  check(bad.length === 0, `${name}: the console stays clean`, [...new Set(bad)].slice(0, 4).join("; "));
}

try {
  for (const name of wanted.filter((name) => ALONE.includes(CHAPTERS[name]))) await tell(name);
  const others = wanted.filter((name) => !ALONE.includes(CHAPTERS[name]));
  const lane = async () => {
    while (others.length > 0) await tell(others.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
} finally {
  await browser.close();
}
console.log(`pictures of each state: ${folder}/*.png`);
for (const line of failed()) console.log(`FAILED  ${line}`);
process.exit(failed().length > 0 ? 1 : 0);
