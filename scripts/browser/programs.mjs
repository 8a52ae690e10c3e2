// The programs that a run needs: started on free ports, stopped by pid.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const READY_WITHIN_MS = 30_000;

const running = new Set();

// However the run ends, nothing that it started stays behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

// Of the environment, what is not about a gateway: its settings are the run's own.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("REDCAST_")),
);

// One program that can be started again under the same name and on the same port.
export class Program {
  #command;
  #env;
  #log;
  #ready;
  #child = null;

  // ready: a function whose promise fails until the program serves.
  constructor({ command, env = {}, log, ready }) {
    this.#command = command;
    this.#env = env;
    this.#log = log;
    this.#ready = ready;
  }

  async start() {
    const log = openSync(this.#log, "a");
    const child = spawn(this.#command[0], this.#command.slice(1), {
      env: { ...environment, ...this.#env },
      stdio: ["ignore", log, log],
    });
    this.#child = child;
    running.add(child);
    child.on("exit", () => running.delete(child));
    await until(`${this.#command[0]} serves`, this.#ready);
  }

  async stop(signal = "SIGTERM") {
    if (!running.has(this.#child)) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }
}

// Waits until a function neither throws nor returns false.
export async function until(what, asked, within = READY_WITHIN_MS) {
  const deadline = Date.now() + within;
  let last;
  while (Date.now() < deadline) {
    try {
      if ((await asked()) !== false) return;
      last = "not yet";
    } catch (error) {
      last = error.message;
    }
    await sleep(50);
  }
  throw new Error(`waited in vain until ${what}: ${last}`);
}

const given = new Set();

// All at once, and none twice: what is stopped comes back on its port.
export async function freePorts(howMany) {
  const servers = Array.from({ length: howMany }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  if (ports.some((port) => given.has(port))) return freePorts(howMany);
  for (const port of ports) given.add(port);
  return ports;
}
