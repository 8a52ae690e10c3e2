// What the page has to say beside the events: holes in them, and the gateway's errors.
//
// An outage can cause hundreds of these. What is alike is merged into one notice, few
// are kept, and they are painted once a second at most, because a screen reader speaks
// each change.

import { shorten } from "./text.js";

const SHOWN = 5;
const PAINT_EVERY_MS = 1_000;
// Holes that lie closer together are told as one.
const MERGED_WITHIN_MS = 60_000;

const clock = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });
const number = new Intl.NumberFormat();

const REASONS = {
  redis_disconnected: "the link to Redis was down",
  overflow: "more came than could be delivered",
  too_large: "an event was too large",
  trimmed: "they are no longer kept",
  forked: "Redis lost them in a failover",
  unknown: "the channel keeps no history",
};

export class Notices {
  #list;
  // The newest first: { key, message, item }.
  #notices = [];
  #changed = false;
  #paintedAt = -Infinity;

  constructor(list) {
    this.#list = list;
  }

  // message: a gap, reset or error of the gateway, or our own { type: "away", from, to }.
  add(message) {
    const key = JSON.stringify([message.type, message.channel, message.reason, message.message]);
    const alike = this.#notices.find((notice) => notice.key === key && near(notice.message, message));
    if (alike === undefined) {
      this.#notices.unshift({ key, message, item: document.createElement("li") });
      this.#notices.splice(SHOWN);
    } else {
      alike.message = merged(alike.message, message);
    }
    this.#changed = true;
  }

  // Called often; paints when there is something new and the last time is long enough ago.
  paint(now) {
    if (!this.#changed || now - this.#paintedAt < PAINT_EVERY_MS) return;
    this.#changed = false;
    this.#paintedAt = now;
    for (const { message, item } of this.#notices) {
      const text = shorten(words(message));
      item.className = "notice";
      if (item.textContent !== text) item.textContent = text;
    }
    const kept = new Set(this.#notices.map(({ item }) => item));
    for (const item of [...this.#list.children]) {
      if (!kept.has(item)) item.remove();
    }
    // Only new ones are put in: one that is moved would be spoken again.
    this.#list.prepend(...[...kept].filter((item) => !item.isConnected));
  }
}

function near(earlier, later) {
  return later.from === undefined || later.from - earlier.to < MERGED_WITHIN_MS;
}

function merged(earlier, later) {
  if (later.from === undefined) return later;
  return {
    ...later,
    from: Math.min(earlier.from, later.from),
    to: Math.max(earlier.to, later.to),
    dropped: (earlier.dropped ?? 0) + (later.dropped ?? 0),
    times: (earlier.times ?? 1) + 1,
  };
}

function words(message) {
  const reason = REASONS[message.reason] ?? message.reason;
  switch (message.type) {
    case "gap": {
      const dropped = message.dropped ? ` ${number.format(message.dropped)} are known to be lost.` : "";
      return `${span(message)}, events of ${message.channel} may have been missed: ${reason}.${dropped}`;
    }
    case "away":
      return message.times === undefined
        ? `${span(message)}, this page was not connected: events of that time are not shown.`
        : `${span(message)}, this page was disconnected ${message.times} times: events of those times are not shown.`;
    case "reset":
      return `Earlier events of ${message.channel} can't be shown: ${reason}.`;
    default:
      return `The gateway says: ${message.message}`;
  }
}

function span({ from, to }) {
  const [first, last] = [from, to].map((ms) => clock.format(new Date(ms)));
  return first === last ? `At ${first}` : `Between ${first} and ${last}`;
}
