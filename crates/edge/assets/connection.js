// A connection to Redcast that comes back by itself.
//
// One loop: ask the gateway what it offers, open the WebSocket, hand on what
// arrives, and after any end wait and begin again. The wait is random ("full
// jitter"), so that the clients of a restarted instance do not all return at once.

const PING_EVERY_MS = 20_000;
const SILENT_FOR_MS = 45_000;
// A ping gets this long to be answered before silence counts: the timers of a
// hidden tab fire late, and its own delay must not look like a dead link.
const ANSWER_WITHIN_MS = 5_000;
const OPEN_WITHIN_MS = 10_000;
const FIRST_WAIT_MS = 1_000;
// How often the gateway is asked how it fares itself while we are connected.
const ASK_EVERY_MS = 5_000;
const LONGEST_WAIT_MS = 30_000;
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
  #refreshing = false;

  // handlers: state(name, detail), info(info) and message(object).
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

  async #open() {
    this.#retryAt = null;
    this.#handlers.state("connecting");
    let info;
    try {
      info = await this.#ask();
    } catch (error) {
      this.#wait(unreachable(error));
      return;
    }
    this.#handlers.info(info);
    const url = new URL(info.endpoints[0], location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#listen(new WebSocket(url, ["redcast.v1"]));
  }

  async #ask() {
    this.#askedAt = Date.now();
    const response = await fetch("api/info", {
      cache: "no-store",
      signal: AbortSignal.timeout(OPEN_WITHIN_MS),
    });
    if (!response.ok) throw new Error(`the gateway answers with HTTP ${response.status}`);
    return response.json();
  }

  // One at a time, and what comes after the connection's end is dropped: a late answer
  // must not paint over a newer one.
  async #refresh() {
    const socket = this.#socket;
    this.#refreshing = true;
    try {
      const info = await this.#ask();
      if (this.#socket === socket) this.#handlers.info(info);
    } catch {
      // No news: the WebSocket itself tells when the gateway is gone.
    } finally {
      this.#refreshing = false;
    }
  }

  #listen(socket) {
    this.#socket = socket;
    this.#openedAt = this.#heardAt = this.#pingedAt = Date.now();
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now();
      const message = read(data);
      if (message.type === "welcome") {
        this.#liveSince = Date.now();
        this.#handlers.state("live");
      }
      this.#handlers.message(message);
    };
    socket.onclose = ({ code, reason }) => this.#ended(code, reason);
  }

  // Called when the browser or the watchdog says that the connection is over.
  #ended(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    socket.onmessage = socket.onclose = null;
    socket.close();
    if (this.#liveSince !== null && Date.now() - this.#liveSince > GOOD_AFTER_MS) {
      this.#attempts = 0;
    }
    const opened = this.#liveSince !== null;
    this.#liveSince = null;
    this.#wait(...explain(code, reason, opened));
  }

  // atLeast: how long the gateway asked to be left alone, in milliseconds.
  #wait(why, atLeast = null) {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    const wait = atLeast === null
      ? Math.random() * longest
      : atLeast + Math.random() * FIRST_WAIT_MS;
    this.#retryAt = Date.now() + wait;
    this.#handlers.state("waiting", { why, until: this.#retryAt });
  }

  #tick() {
    const now = Date.now();
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
    if (!this.#refreshing && now - this.#askedAt >= ASK_EVERY_MS) this.#refresh();
    const unanswered = this.#pingedAt > this.#heardAt && now - this.#pingedAt > ANSWER_WITHIN_MS;
    if (unanswered && now - this.#heardAt > SILENT_FOR_MS) {
      this.#ended(0, "nothing was heard for 45 seconds");
    } else if (now - this.#pingedAt >= PING_EVERY_MS) {
      this.#pingedAt = now;
      this.#socket.send('{"type":"ping"}');
    }
  }
}

// A browser may be unable to parse what is valid, such as very deep nesting.
function read(data) {
  try {
    return JSON.parse(data);
  } catch {
    return { type: "error", message: "an event came that this browser can't read" };
  }
}

// Why the gateway could not be asked, in words that don't depend on the browser.
function unreachable(error) {
  if (error instanceof TypeError) return "the gateway does not answer";
  if (error.name === "TimeoutError") return "the gateway does not answer in time";
  if (error instanceof SyntaxError) return "what answers is not the gateway";
  return error.message;
}

// What a close means for a person, and how long the gateway asks us to wait.
function explain(code, reason, opened) {
  if (code === 1012) {
    try {
      const after = Number(JSON.parse(reason).reconnect_after_ms);
      if (after >= 0) return ["the gateway is restarting", Math.min(after, 600_000)];
    } catch {
      // A proxy may close with 1012 and words of its own.
    }
    return ["the gateway is restarting"];
  }
  if (code === 0) return [reason];
  if (code === 1006 && opened) return ["the connection was lost"];
  if (code === 1006) return ["the gateway took no connection from this page: allowed_origins or forward auth may refuse it"];
  return [`closed with ${code}${reason ? `: ${reason}` : ""}`];
}
