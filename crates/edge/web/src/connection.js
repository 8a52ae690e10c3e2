// A connection to Redcast that comes back by itself.
//
// One loop: ask the gateway what it offers, open the WebSocket, hand on what
// arrives, and after any end wait and begin again. The wait is random ("full
// jitter"), so that the clients of a restarted instance do not all return at once.

import { explain, unreachable } from "./reasons.js";

const PING_EVERY_MS = 5_000;
const FIRST_PING_AFTER_MS = 750;
// Counted from a ping that was sent: the timers of a hidden tab fire late, and their
// delay must not look like a dead link.
const ANSWER_WITHIN_MS = 10_000;
const OPEN_WITHIN_MS = 10_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
// How often the gateway is asked how it fares itself while we are connected.
const ASK_EVERY_MS = 5_000;
const REFRESH_EVERY_MS = 1_000;
// A connection that lasted this long was a good one: the next wait is short again.
const GOOD_AFTER_MS = 10_000;

export class Connection {
  #handlers;
  #socket = null;
  #attempts = 0;
  #openedAt = 0;
  #liveSince = null;
  #heardAt = 0;
  #pingedAt = 0;
  #retryAt = null;
  #askedAt = 0;
  #asking = false;
  #refresh = null;

  // handlers: state(name, detail), info(info), frame(text) and latency(ms).
  constructor(handlers) {
    this.#handlers = handlers;
  }

  start() {
    setInterval(() => this.#tick(), 250);
    // The network is back: waiting any longer helps nobody.
    addEventListener("online", () => {
      if (this.#retryAt !== null) this.#open();
    });
    this.#open();
  }

  // The gateway greeted us.
  welcomed() {
    this.#liveSince = performance.now();
    // Soon, but not while the page draws itself for the first time: that would count.
    this.#pingedAt = this.#liveSince - PING_EVERY_MS + FIRST_PING_AFTER_MS;
    this.#handlers.state("live");
  }

  ponged() {
    this.#handlers.latency(performance.now() - this.#pingedAt);
  }

  // Asks for the statistics anew; of many calls at a time one is sent.
  refresh() {
    this.#refresh ??= setTimeout(() => {
      this.#refresh = null;
      this.#send('{"type":"refresh_stats"}');
    }, Math.random() * REFRESH_EVERY_MS);
  }

  async #open() {
    this.#retryAt = null;
    this.#handlers.state("connecting");
    try {
      const info = await this.#ask();
      const url = new URL(endpoint(info), location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      this.#handlers.info(info);
      this.#listen(new WebSocket(url, ["redcast.v1"]));
    } catch (error) {
      this.#wait(unreachable(error));
    }
  }

  async #ask() {
    this.#askedAt = performance.now();
    const response = await fetch("api/info", {
      cache: "no-store",
      signal: AbortSignal.timeout(OPEN_WITHIN_MS),
    });
    if (!response.ok) throw new Error(`the gateway answers with HTTP ${response.status}`);
    const info = await response.json();
    // Whatever stands in front of the gateway may answer with JSON of its own.
    if (typeof endpoint(info) !== "string") throw new SyntaxError("not what the gateway says");
    return info;
  }

  // One at a time, and what comes after the connection's end is dropped: a late answer
  // must not paint over a newer one.
  async #askAgain() {
    const socket = this.#socket;
    this.#asking = true;
    try {
      const info = await this.#ask();
      if (this.#socket === socket) this.#handlers.info(info);
    } catch {
      // No news: the WebSocket itself tells when the gateway is gone.
    } finally {
      this.#asking = false;
    }
  }

  #listen(socket) {
    this.#socket = socket;
    this.#openedAt = this.#heardAt = this.#pingedAt = performance.now();
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      this.#handlers.frame(data);
    };
    socket.onclose = ({ code, reason }) => this.#ended(code, reason);
  }

  // Called when the browser or the watchdog says that the connection is over.
  #ended(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    socket.onmessage = socket.onclose = null;
    socket.close();
    const opened = this.#liveSince !== null;
    if (opened && performance.now() - this.#liveSince > GOOD_AFTER_MS) this.#attempts = 0;
    this.#liveSince = null;
    this.#wait(...explain(code, reason, opened));
  }

  // atLeast: how long the gateway asked to be left alone, in milliseconds.
  #wait(why, atLeast = null) {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    const wait = (atLeast ?? 0) + Math.random() * (atLeast === null ? longest : FIRST_WAIT_MS);
    this.#retryAt = performance.now() + wait;
    this.#handlers.state("waiting", { why, until: this.#retryAt });
  }

  #tick() {
    const now = performance.now();
    if (this.#retryAt !== null && now >= this.#retryAt) {
      this.#open();
    } else if (this.#socket !== null && this.#liveSince === null) {
      if (now - this.#openedAt > OPEN_WITHIN_MS) this.#ended(0, "no answer in time");
    } else if (this.#socket !== null) {
      this.#watch(now);
    }
  }

  // A browser is not told of the protocol's own pings, so we send ones we can see.
  #watch(now) {
    if (!this.#asking && now - this.#askedAt >= ASK_EVERY_MS) this.#askAgain();
    const unanswered = this.#pingedAt > this.#heardAt;
    if (unanswered && now - this.#pingedAt > ANSWER_WITHIN_MS) {
      this.#ended(0, "nothing was heard for 10 seconds");
    } else if (!unanswered && now - this.#pingedAt >= PING_EVERY_MS) {
      this.#ping();
    }
  }

  #ping() {
    this.#pingedAt = performance.now();
    this.#send('{"type":"ping"}');
  }

  #send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }
}

// Where the page connects to.
function endpoint(info) {
  return info?.dashboard?.endpoint ?? info?.endpoints?.[0];
}
