// The gateway and the Redis that a run of the page needs: started on free ports,
// stopped by pid, and a publisher that speaks just enough of Redis' protocol.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { connect, createServer } from "node:net";
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
export async function until(what, asked) {
  const deadline = Date.now() + READY_WITHIN_MS;
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

// All at once, so that they differ.
export async function freePorts(howMany) {
  const servers = Array.from({ length: howMany }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

// A link to Redis for commands whose reply is, or ends with, one integer.
export class Publisher {
  #socket;
  #waiting = [];
  #rest = "";

  static async open(port) {
    const publisher = new Publisher();
    const socket = connect(port, "127.0.0.1").setNoDelay();
    publisher.#socket = socket;
    socket.on("data", (bytes) => publisher.#read(String(bytes)));
    // An error is followed by the close, which tells those that wait.
    socket.on("error", () => {});
    socket.on("close", () => publisher.#abandon());
    await once(socket, "connect");
    return publisher;
  }

  // Resolves to the number of subscribers that Redis handed the payload to.
  publish(channel, payload) {
    return this.#command("PUBLISH", channel, payload);
  }

  // Publishes at a steady pace that does not fall behind when a timer is late. Resolves
  // to the number of events received, over all subscribers, and the seconds it took.
  async publishAtRate(channel, rate, seconds, event) {
    const begun = performance.now();
    const replies = [];
    while (replies.length < rate * seconds) {
      const due = Math.min(rate * seconds, ((performance.now() - begun) * rate) / 1_000);
      while (replies.length < due) replies.push(this.publish(channel, event(replies.length)));
      await sleep(5);
    }
    const receivers = await Promise.all(replies);
    const received = receivers.reduce((sum, each) => sum + each, 0);
    return { received, took: (performance.now() - begun) / 1_000 };
  }

  // Resolves to the number of subscribers of a channel.
  subscribers(channel) {
    return this.#command("PUBSUB", "NUMSUB", channel);
  }

  close() {
    this.#socket.destroy();
  }

  #command(...words) {
    const parts = words.map((word) => Buffer.from(word));
    this.#socket.write(Buffer.concat([
      Buffer.from(`*${parts.length}\r\n`),
      ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]),
    ]));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #abandon() {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("the link to Redis has ended"));
  }

  #read(text) {
    const lines = (this.#rest + text).split("\r\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith(":")) this.#waiting.shift().resolve(Number(line.slice(1)));
      if (line.startsWith("-")) this.#waiting.shift().reject(new Error(line.slice(1)));
    }
  }
}
