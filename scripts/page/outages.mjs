// The page while the gateway or Redis are away, and what it says afterwards.

import { check } from "../browser/report.mjs";
import { until } from "../browser/programs.mjs";
import { CHANNEL, MAX_EVENT_BYTES, statistics, view } from "../browser/world.mjs";

const NOTICES = 5;
// A second, less what a timer may be early.
const ANNOUNCED_EVERY_MS = 900;

async function opened(stage, options) {
  const world = await stage.world(options);
  await world.writeStatistics(statistics());
  const screen = await stage.screen();
  await screen.live(world.url);
  await world.subscribed();
  await world.publish(view("/all-is-well"));
  await screen.shows("/all-is-well");
  return { world, screen };
}

// Live again, with what happened meanwhile.
async function healed(world, screen, what) {
  await screen.inState("live");
  const unique = await screen.figure("#unique-today", 150);
  check(unique === 150, `${what}: the figures are fetched again`, `${unique}`);
  await world.subscribed();
  await world.publish(view("/it-is-back"));
  await screen.shows("/it-is-back");
}

// Behind one address any of several instances may answer a request, while one of them
// holds the connection.
export async function instances(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const ours = await (await fetch(`${world.url}api/info`)).json();
  const screen = await stage.screen();
  const { page } = screen;
  let [said, asked] = [{ ...ours, instance: "another", broker_connected: false }, 0];
  await page.route("**/api/info", (route) => {
    asked += 1;
    return route.fulfill({ json: said });
  });
  let pongs = 0;
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
    if (payload.startsWith('{"type":"pong"')) pongs += 1;
  }));
  await page.clock.install();
  await page.goto(world.url);
  await page.waitForFunction(() => /^\d+ ms$/.test(document.getElementById("latency").textContent)).catch(() => {});
  const badge = async () => [await page.getAttribute("#connection", "data-state"), await screen.text("#instance")].join();
  check((await badge()) === `live,${ours.instance}`, "another instance without Redis: ours is live, and named", await badge());
  const latency = await screen.text("#latency");
  check(/^\d+ ms$/.test(latency), "beside the badge: the time of a ping and its answer", latency);
  const asksAgain = async () => {
    const [askedBefore, pongsBefore] = [asked, pongs];
    await page.clock.fastForward(5_000);
    // The page pings as well; two leaps without an answer would be ten seconds of silence.
    await until("the page asks again, and is answered", () => asked > askedBefore && pongs > pongsBefore);
  };
  said = { ...ours, broker_connected: false };
  await asksAgain();
  await screen.inState("deaf");
  said = { ...ours, instance: "another" };
  // One question at a time: at the second one the first has been answered.
  await asksAgain();
  await asksAgain();
  check((await badge()) === `deaf,${ours.instance}`, "ours without Redis: another's word does not count", await badge());
}

export async function gatewayAway(stage) {
  const { world, screen } = await opened(stage);
  const spoken = (await screen.probe()).spoken.length;
  await world.gateway.stop();
  const told = await screen.badge(/^waiting: .*restart.* \d+ s$/);
  check(told !== "", "gateway stopped: said, with a countdown", told);
  await screen.badge(/^waiting: .*not answer/);
  await screen.judgedTwice("disconnected");
  await world.writeStatistics(statistics({ unique_today: 150 }));
  const begun = performance.now();
  await world.gateway.start();
  await healed(world, screen, "gateway restarted");
  const waited = ((performance.now() - begun) / 1_000).toFixed(1);
  console.log(`        gateway back on its port: connected again after ${waited} s`);
  const notice = await screen.noticed(/not connected|disconnected/);
  check(notice !== "", "gateway back: the hole is told", notice);
  const said = (await screen.probe()).spoken.slice(spoken).map(({ text }) => text);
  check(said.length >= 1 && said.length <= 10, "gateway away and back: a screen reader is told, in few words", said.join(" | "));
}

export async function gatewayDies(stage) {
  const { world, screen } = await opened(stage);
  await world.gateway.stop("SIGKILL");
  const told = await screen.badge(/^waiting: .*lost/);
  check(told !== "", "gateway killed: said", told);
  const beside = [await screen.text("#instance"), await screen.text("#latency")].join("");
  check(beside === "", "gateway killed: no instance and no latency beside the badge", beside);
  const again = await screen.badge(/^waiting: .*not answer.* \d+ s$/);
  check(again !== "", "gateway still away: said, with a countdown", again);
  await world.writeStatistics(statistics({ unique_today: 150 }));
  await world.gateway.start();
  await healed(world, screen, "gateway killed and back");
}

export async function redisDies(stage) {
  // Beats so far apart that new figures come only to a page that asks for them.
  const { world, screen } = await opened(stage, { every: "10m", durable: true });
  await world.writeStatistics(statistics({ unique_today: 150 }));
  await world.redis.stop("SIGKILL");
  const lost = await screen.page.waitForSelector('#connection:is([data-state="deaf"], [data-state="stale"])');
  await screen.inState("deaf");
  const told = await screen.text("#connection-text");
  check(/Redis/.test(told), "Redis killed: the page says that the gateway has lost it", `${told} (${await lost.getAttribute("data-state")})`);
  const unique = await screen.number("#unique-today");
  check(unique === 145, "Redis killed: the last figures stay", `${unique}`);
  await screen.judgedTwice("without Redis");
  await world.redis.start();
  await world.relink();
  await healed(world, screen, "Redis back");
  const notice = await screen.noticed(/Redis/);
  check(notice !== "", "Redis back: the gap is told", notice);
}

// A gap for each of many events that are too large: as many notices as can be had.
export async function noticeFlood(stage) {
  const { world, screen } = await opened(stage);
  const before = (await screen.probe()).spoken.length;
  const large = "x".repeat(MAX_EVENT_BYTES + 1);
  await world.link.publishAtRate(CHANNEL, 100, 3, () => large);
  const notice = await screen.noticed(/300/);
  check(notice !== "", "300 events too large: one notice tells of all", notice);
  const shown = await screen.rows("#notices");
  check(shown <= NOTICES, "300 events too large: the notices are bounded", `${shown} shown`);
  const spoken = (await screen.probe()).spoken.slice(before).filter(({ region }) => region === "notices");
  const apart = spoken.slice(1).map(({ at }, n) => at - spoken[n].at);
  const shortest = Math.round(Math.min(...apart));
  check(spoken.length >= 1 && (apart.length === 0 || shortest >= ANNOUNCED_EVERY_MS),
    "300 events too large: announced once a second at most", `${spoken.length} times, at least ${shortest} ms apart`);
  await screen.judgedTwice("notices");
}
