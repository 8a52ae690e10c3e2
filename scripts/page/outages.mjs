// The page while the gateway or Redis are away, and what it says afterwards.

import { check } from "./report.mjs";
import { Publisher, until } from "./servers.mjs";
import { view } from "./steady.mjs";

const NOTICES = 5;
// A second, less what a timer may be early.
const ANNOUNCED_EVERY_MS = 900;

async function publishAndSee(screen, publisher, path) {
  await until("the gateway subscribes", async () => (await publisher.subscribers("analytics")) > 0);
  await publisher.publish("analytics", view(path));
  await screen.shows(path);
}

export async function gatewayStops(screen, publisher, gateway) {
  const before = (await screen.probe()).spoken.length;
  const [told] = await Promise.all([screen.disconnected(), gateway.stop()]);
  check(/^disconnected: the gateway is restarting, next try in \d+ s$/.test(told),
    "gateway stopped: said, with a countdown", told);
  await screen.page.waitForFunction(() =>
    document.getElementById("state-text").textContent === "disconnected: the gateway does not answer");
  await screen.legible("gateway stopped");
  await screen.fits("gateway stopped", 360);
  const begun = performance.now();
  await gateway.start();
  await screen.inState("live");
  const waited = ((performance.now() - begun) / 1_000).toFixed(1);
  await publishAndSee(screen, publisher, "/gateway-is-back");
  check(true, "gateway back on its port: connected again, unasked", `after ${waited} s`);
  const notice = await screen.noticed("this page was not connected");
  check(notice !== "", "gateway back: the hole is told", notice);
  await screen.page.waitForFunction(() => document.getElementById("spoken").textContent === "live");
  const said = (await screen.probe()).spoken.slice(before).map(({ text }) => text);
  check(said.length <= 6 && /^disconnected/.test(said[0]),
    "gateway away and back: a screen reader is told, in few words", said.join(" | "));
}

export async function gatewayDies(screen, gateway) {
  const [told] = await Promise.all([screen.disconnected(), gateway.stop("SIGKILL")]);
  check(/^disconnected: the connection was lost, next try in \d+ s$/.test(told), "gateway killed: said", told);
  await gateway.start();
  await screen.inState("live");
  const notice = await screen.noticed("this page was disconnected 2 times");
  check(notice !== "", "gateway back: connected again, and the second hole is told with the first", notice);
}

// Gives back a publisher for the new Redis.
export async function redisDies(screen, redis, port) {
  await redis.stop("SIGKILL");
  await screen.inState("deaf");
  const told = await screen.text("#state-text");
  const tile = await screen.text("#broker-detail");
  check(/lost Redis/.test(told) && tile === "out of reach", "Redis killed: the page says that the gateway has lost it",
    `${told}; ${tile}`);
  const title = await screen.page.title();
  check(!/live/.test(title), "Redis killed: the title says so too", title);
  await screen.legible("Redis lost");
  await screen.fits("Redis lost", 360);
  await redis.start();
  await screen.inState("live");
  const publisher = await Publisher.open(port);
  await publishAndSee(screen, publisher, "/redis-is-back");
  const notice = await screen.noticed("the link to Redis was down");
  check(notice !== "", "Redis back: healed, and the gap is told", notice);
  await screen.legible("healed");
  return publisher;
}

// A gap for each of many events that are too large: as many notices as can be had.
export async function noticeFlood(screen, publisher, largest) {
  const before = (await screen.probe()).spoken.length;
  const large = "x".repeat(largest + 1);
  await publisher.publishAtRate("analytics", 100, 3, () => large);
  const notice = await screen.noticed("300 are known to be lost");
  check(notice !== "", "300 events too large: one notice tells of all", notice);
  const shown = await screen.page.locator("#notices > li").count();
  check(shown <= NOTICES, "300 events too large: the notices are bounded", `${shown} shown`);
  const spoken = (await screen.probe()).spoken.slice(before).filter(({ region }) => region === "notices");
  const apart = spoken.slice(1).map(({ at }, n) => at - spoken[n].at);
  const shortest = Math.round(Math.min(...apart));
  check(apart.length >= 1 && shortest >= ANNOUNCED_EVERY_MS,
    "300 events too large: announced once a second at most", `${spoken.length} times, at least ${shortest} ms apart`);
  await screen.fits("notices", 360);
  await screen.picture("notices-dark", "dark");
}
