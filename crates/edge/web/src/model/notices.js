// What the page has to say beside the events: holes in them, and the gateway's errors.
//
// An outage can cause hundreds of these. What is alike is merged into one notice, and
// few are kept; who shows them does so once a second at most, because a screen reader
// speaks each change.

import { clock, count } from "../numbers.js";
import { shorten } from "./text.js";

const KEPT = 5;
// Holes that lie closer together are told as one.
const MERGED_WITHIN_MS = 60_000;

const REASONS = {
  redis_disconnected: "the link to Redis was down",
  overflow: "more came than could be delivered",
  too_large: "an event was too large",
  trimmed: "they are no longer kept",
  forked: "Redis lost them in a failover",
  unknown: "the channel keeps no history",
};

export class Notices {
  // The newest first: { id, key, message }.
  #notices = [];
  #count = 0;

  // message: a gap, reset or error of the gateway, or our own { type: "away", from, to }.
  add(message) {
    const key = JSON.stringify([message.type, message.channel, message.reason, message.message]);
    const alike = this.#notices.find((notice) => notice.key === key && near(notice.message, message));
    if (alike !== undefined) {
      alike.message = merged(alike.message, message);
      return;
    }
    this.#count += 1;
    this.#notices.unshift({ id: this.#count, key, message });
    this.#notices.splice(KEPT);
  }

  list() {
    return this.#notices.map(({ id, message }) => ({ id, type: message.type, text: shorten(words(message)) }));
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
      const dropped = message.dropped ? ` ${count(message.dropped)} are known to be lost.` : "";
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
  const [first, last] = [from, to].map((ms) => clock(new Date(ms)));
  return first === last ? `At ${first}` : `Between ${first} and ${last}`;
}
