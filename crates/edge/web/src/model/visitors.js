// Who was seen by this page, where no server counts: each for five minutes after the
// last view, and once for as long as the page is open.

const HERE_FOR_MS = 5 * 60_000;
// More are not told apart; that many could not be drawn either.
const MOST = 20_000;
const LONGEST_ID = 64;

export class Visitors {
  // How many were seen since the page was opened.
  seen = 0;
  // When each was seen last, the longest ago first.
  #here = new Map();
  #known = new Set();

  see(id, now) {
    if (typeof id !== "string" || id === "") return;
    const visitor = id.slice(0, LONGEST_ID);
    this.#here.delete(visitor);
    this.#here.set(visitor, now);
    if (this.#here.size > MOST) this.#here.delete(first(this.#here.keys()));
    if (this.#known.has(visitor)) return;
    this.seen += 1;
    this.#known.add(visitor);
    if (this.#known.size > MOST) this.#known.delete(first(this.#known));
  }

  here(now) {
    for (const [visitor, at] of this.#here) {
      if (now - at < HERE_FOR_MS) break;
      this.#here.delete(visitor);
    }
    return this.#here.size;
  }
}

function first(iterable) {
  return iterable[Symbol.iterator]().next().value;
}
