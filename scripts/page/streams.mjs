// A browser's own EventSource: it reads a stream, goes on by itself where it was after
// the gateway was restarted, and asks from pages of another origin only where it may.

import { once } from "node:events";
import { createServer } from "node:http";

import { until } from "../browser/programs.mjs";
import { check } from "../browser/report.mjs";

const CONFIG = (origin) => `
[[channels]]
pattern = "orders*"
source = "stream"
[[endpoints]]
path = "/ws/orders"
channels = ["orders"]
subscribe = ["orders:*"]
allowed_origins = ["${origin}"]
`;

export async function streams(stage) {
  const other = await site();
  try {
    const world = await stage.world({ more: CONFIG(other.url) });
    const screen = await stage.screen();
    await screen.page.goto(world.url);
    await listen(screen.page, "/sse/orders?channel=orders:eu");
    await resumed(world, screen.page);
    await crossOrigin(world, await stage.screen(), other.url);
    const stranger = await stage.screen();
    await stranger.page.goto(other.url.replace("127.0.0.1", "localhost"));
    const refused = await listen(stranger.page, `${world.url}sse/orders`);
    check(refused === "closed", "a page of an origin that is not listed gets nothing", refused);
  } finally {
    other.close();
  }
}

// Opens a stream; what comes of it is kept in the page. Resolves to how that went.
function listen(page, url, options = {}) {
  return page.evaluate(([where, how]) => new Promise((resolve) => {
    const seen = { events: [], closes: [], opened: 0 };
    window.stream = seen;
    const events = new EventSource(where, how);
    events.onopen = () => {
      seen.opened += 1;
      resolve("open");
    };
    events.onmessage = ({ data, lastEventId }) => seen.events.push({ data, lastEventId });
    events.addEventListener("close", ({ data }) => seen.closes.push(JSON.parse(data).code));
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) resolve("closed");
    };
  }), [url, options]);
}

const add = (world, channel, data) =>
  world.link.command("EVAL", "redis.call('XADD', KEYS[1], '*', 'data', ARGV[1]) return 1", "1", channel, data);

const stream = (page) => page.evaluate(() => window.stream);

const seen = (page, count) =>
  until(`${count} events are there`, async () => (await stream(page)).events.length >= count);

async function resumed(world, page) {
  // The id of the joins comes without an event: once they are live, events are not missed.
  await until("the stream is joined", async () => {
    await add(world, "orders", "first");
    return (await stream(page)).events.length > 0;
  });
  const before = (await stream(page)).events.length;
  for (const number of [1, 2]) await add(world, "orders", `{"n":${number}}`);
  await add(world, "orders:eu", "line one\nline two");
  await seen(page, before + 3);
  const events = (await stream(page)).events.slice(before);
  const texts = events.map(({ data }) => data).sort().join("|");
  check(texts === 'line one\nline two|{"n":1}|{"n":2}', "a browser reads payloads as they were published", texts);
  check(/orders:\d+-\d+\.[0-9a-f]{8}/.test(events.at(-1).lastEventId), "its last event id is where it is", events.at(-1).lastEventId);
  await world.gateway.stop();
  for (const number of [3, 4, 5]) await add(world, number === 4 ? "orders:eu" : "orders", `{"n":${number}}`);
  await world.gateway.start();
  await seen(page, before + 6);
  await add(world, "orders", "last");
  await until("the last event is there", async () => (await stream(page)).events.at(-1).data === "last");
  const { events: all, closes, opened } = await stream(page);
  const missed = all.slice(before + 3).map(({ data }) => data);
  const [last, rest] = [missed.at(-1), missed.slice(0, -1).sort().join("|")];
  check(rest === '{"n":3}|{"n":4}|{"n":5}' && last === "last", "a restart: what was missed comes by itself, once", missed.join("|"));
  check(closes.join() === "1012" && opened === 2, "it was told why, and came back once", `${closes.join()}, opened ${opened} times`);
}

async function crossOrigin(world, screen, origin) {
  await screen.page.goto(origin);
  const outcome = await listen(screen.page, `${world.url}sse/orders`, { withCredentials: true });
  await until("its stream is joined", async () => {
    await add(world, "orders", "abroad");
    return (await stream(screen.page)).events.length > 0;
  });
  check(outcome === "open", "a page of an origin that is listed may read it, also with cookies", outcome);
}

// A page of another origin, with nothing on it.
async function site() {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end('<!doctype html><html lang="en"><title>Elsewhere</title><link rel="icon" href="data:,">');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
