// A link to Redis that speaks just enough of its protocol to publish and to write.

import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export class Redis {
  #socket;
  #waiting = [];
  #rest = "";

  static async open(port) {
    const link = new Redis();
    const socket = connect(port, "127.0.0.1").setNoDelay();
    link.#socket = socket;
    socket.on("data", (bytes) => link.#read(String(bytes)));
    // An error is followed by the close, which tells those that wait.
    socket.on("error", () => {});
    socket.on("close", () => link.#abandon());
    await once(socket, "connect");
    return link;
  }

  // Resolves to the number of subscribers that Redis handed the payload to.
  publish(channel, payload) {
    return this.command("PUBLISH", channel, payload);
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
    return this.command("PUBSUB", "NUMSUB", channel);
  }

  close() {
    this.#socket.destroy();
  }

  // For commands whose reply is, or ends with, one integer.
  command(...words) {
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
