// The parts that the page needs around it: a Redis, a gateway that shows statistics,
// and, where asked for, the producer that counts page views. Each world has its own, on
// free ports and in a folder of its own.

import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";

import { Program, freePorts, until } from "./programs.mjs";
import { Redis } from "./redis.mjs";

export const CHANNEL = "analytics";
export const STATISTICS = "{analytics}:stats";
export const MAX_EVENT_BYTES = 128 << 10;

// As in deploy/config/analytics.toml, but for a beat that a test need not wait long for
// and a limit that it can reach. Each open page is a visitor.
const config = (every) => `
[[endpoints]]
path = "/ws/analytics"
channels = ["${CHANNEL}"]
snapshot = "analytics"
allowed_origins = ["*"]

[[snapshots]]
name = "analytics"
key = "${STATISTICS}"
every = "${every}"
on_connect = "initial_stats"
on_tick = "heartbeat"
merge = { "/data/current_visitors" = "connections" }

[limits]
max_event_size = "${MAX_EVENT_BYTES >> 10}KiB"
[shutdown]
accept_for = "0s"
window = "1s"
`;

export class World {
  #producer = null;

  // site: whose views the producer may count, or null for no producer. every: how often
  // the gateway reads the statistics. durable: whether a Redis that was killed has its keys
  // again when it is started.
  // more: further lines of its configuration.
  static async open(binaries, folder, { site = null, every = "1s", durable = false, more = "" } = {}) {
    const world = new World();
    mkdirSync(folder, { recursive: true });
    const [redisPort, httpPort, adminPort, collectorPort] = await freePorts(4);
    world.folder = folder;
    world.collectorUrl = `http://127.0.0.1:${collectorPort}`;
    world.redisPort = redisPort;
    world.redis = new Program({
      command: ["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder,
        ...(durable ? ["--appendonly", "yes", "--appendfsync", "always"] : [])],
      log: `${folder}/redis.log`,
      ready: async () => (await Redis.open(redisPort)).close(),
    });
    const file = `${folder}/redcast.toml`;
    const collector = site === null ? "" : `[page]\ncollector = "${world.collectorUrl}"\n`;
    writeFileSync(file, config(every) + collector + more);
    world.#serve(binaries, folder, ["--config", file], [httpPort, adminPort],
      { REDCAST_REDIS__URL: `redis://127.0.0.1:${redisPort}` });
    world.#producer = binaries.producer;
    if (site !== null) world.collector = collecting(world, binaries, folder, collectorPort, site);
    return world;
  }

  // The gateway alone, with visitors and a collector of its own and without a Redis.
  static async demo(binaries, folder) {
    const world = new World();
    mkdirSync(folder, { recursive: true });
    world.#serve(binaries, folder, ["--demo"], await freePorts(2));
    return world;
  }

  #serve(binaries, folder, flags, [httpPort, adminPort], env = {}) {
    this.url = `http://127.0.0.1:${httpPort}/`;
    this.gateway = new Program({
      command: [binaries.gateway, "serve", ...flags],
      env: {
        ...env,
        REDCAST_HTTP__LISTEN: `127.0.0.1:${httpPort}`,
        REDCAST_ADMIN__LISTEN: `127.0.0.1:${adminPort}`,
      },
      log: `${folder}/gateway.log`,
      ready: async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok,
    });
  }

  async start() {
    await this.redis?.start();
    if (this.redis !== undefined) this.link = await Redis.open(this.redisPort);
    await Promise.all([this.gateway.start(), this.collector?.start()]);
  }

  async stop() {
    this.link?.close();
    await Promise.all([this.collector, this.gateway, this.redis].map((program) => program?.stop("SIGKILL")));
  }

  // A new link, after Redis was away.
  async relink() {
    this.link.close();
    this.link = await Redis.open(this.redisPort);
  }

  // Publishes the page views of an access log; resolves to the producer's summary.
  async replay(lines, ...flags) {
    const log = `${this.folder}/access.log`;
    writeFileSync(log, lines.map((line) => `${line}\n`).join(""));
    const { stdout } = await promisify(execFile)(this.#producer,
      ["replay", log, "--redis-url", `redis://127.0.0.1:${this.redisPort}`, "--speed", "max", "--json", ...flags]);
    return JSON.parse(stdout);
  }

  publish(payload) {
    return this.link.publish(CHANNEL, payload);
  }

  // Waits until what is published reaches the gateway.
  subscribed() {
    return until("the gateway subscribes", async () => (await this.link.subscribers(CHANNEL)) > 0);
  }

  // Writes the statistics as a producer would.
  async writeStatistics(fields) {
    const words = Object.entries(fields).flatMap(([name, value]) =>
      [name, typeof value === "object" ? JSON.stringify(value) : `${value}`]);
    await this.link.command("HSET", STATISTICS, ...words);
  }

  forgetStatistics() {
    return this.link.command("DEL", STATISTICS);
  }
}

function collecting(world, binaries, folder, port, site) {
  return new Program({
    command: [binaries.producer, "collect", "--listen", `127.0.0.1:${port}`, "--admin-listen", "off", "--site", site],
    env: { REDCAST_PRODUCER_REDIS_URL: `redis://127.0.0.1:${world.redisPort}` },
    log: `${folder}/collector.log`,
    ready: async () => (await fetch(`http://127.0.0.1:${port}/r.js`)).ok,
  });
}

// Statistics such as a site of some size has. The present minute is the last of thirty.
export function statistics(changes = {}) {
  return {
    current_visitors: 7,
    unique_today: 145,
    total_events: 2_340,
    events_today: 812,
    views_last_minute: 21,
    last_30_minutes: Array.from({ length: 30 }, (_, minute) => 5 + ((minute * 7) % 23)),
    top_pages: [
      { path: "/pricing", views: 120 }, { path: "/", views: 96 }, { path: "/docs/install", views: 41 },
      { path: "/blog/a-rather-long-title-that-a-phone-has-no-room-for", views: 12 },
    ],
    top_referrers: [{ referrer: "search.example", views: 64 }, { referrer: "news.example", views: 31 }],
    timestamp: Math.floor(Date.now() / 1_000),
    ...changes,
  };
}

export const view = (path, data = {}) => JSON.stringify({
  type: "page_view",
  visitor_id: "6f1c1d52-6c58-4d0e-9b0a-3a8c7d5e2f10",
  timestamp: new Date().toISOString(),
  data: { path, referrer: "https://news.example/item", country: "NO", device: "desktop", ...data },
});
