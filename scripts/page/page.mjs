// The gateway's page in a real browser: silent, under load, attacked, and through the
// loss of the gateway and of Redis. Prints a line for each thing it checks, and takes a
// picture of each state for human eyes.
//
// Usage: node page.mjs GATEWAY-BINARY FOLDER

import { writeFileSync } from "node:fs";

import { gatewayDies, gatewayStops, noticeFlood, redisDies } from "./outages.mjs";
import { check, failed } from "./report.mjs";
import { Screen } from "./screen.mjs";
import { Program, Publisher, freePorts } from "./servers.mjs";
import { copying, hostile, keyboard, load, motion, pause, silence } from "./steady.mjs";

const [binary, folder] = process.argv.slice(2);
const MAX_EVENT_BYTES = 128 << 10;
const config = `${folder}/redcast.toml`;
writeFileSync(config, "");

const [redisPort, httpPort, adminPort] = await freePorts(3);

const redis = new Program({
  command: ["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder],
  log: `${folder}/redis.log`,
  ready: async () => (await Publisher.open(redisPort)).close(),
});

const gateway = new Program({
  // A file of its own, or a ./redcast.toml of somebody's would be read.
  command: [binary, "serve", "--config", config],
  env: {
    REDCAST_REDIS__URL: `redis://127.0.0.1:${redisPort}`,
    REDCAST_HTTP__LISTEN: `127.0.0.1:${httpPort}`,
    REDCAST_ADMIN__LISTEN: `127.0.0.1:${adminPort}`,
    REDCAST_LIMITS__MAX_EVENT_SIZE: `${MAX_EVENT_BYTES >> 10}KiB`,
    REDCAST_SHUTDOWN__ACCEPT_FOR: "0s",
    REDCAST_SHUTDOWN__WINDOW: "1s",
  },
  log: `${folder}/gateway.log`,
  ready: async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok,
});

async function story(screen) {
  const publisher = await Publisher.open(redisPort);
  await silence(screen, `http://127.0.0.1:${httpPort}/`);
  await keyboard(screen);
  await copying(screen);
  await load(screen, publisher);
  await pause(screen, publisher);
  await hostile(screen, publisher);
  await motion(screen);
  await gatewayStops(screen, publisher, gateway);
  await gatewayDies(screen, gateway);
  const another = await redisDies(screen, redis, redisPort);
  await noticeFlood(screen, another, MAX_EVENT_BYTES);
  another.close();
  check(screen.thrown.length === 0, "the whole run: no exception in the page", screen.thrown.join("; "));
  const { refused } = await screen.probe();
  check(refused.length === 0, "the whole run: nothing that the security policy refuses", refused.join("; "));
}

await redis.start();
await gateway.start();
const screen = await Screen.open(folder);
try {
  await story(screen);
} catch (error) {
  check(false, "the run ended early", error.stack);
  await screen.picture("failed").catch(() => {});
} finally {
  await screen.close();
  await gateway.stop("SIGKILL");
  await redis.stop("SIGKILL");
}
console.log(`pictures of each state: ${folder}/*.png`);
process.exit(failed() ? 1 : 0);
