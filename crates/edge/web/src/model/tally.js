// Who is on top: counts per name over the last half hour, bounded whatever the names.

const MOST_NAMES = 1_000;
const MINUTES = 30;

export class Tally {
  #totals = new Map();
  // What each minute added, the newest last, to be taken away again.
  #minutes = [new Map()];

  // Names beyond the bound are not counted: they would be the rarest.
  add(name) {
    if (!this.#totals.has(name) && this.#totals.size >= MOST_NAMES) return;
    this.#totals.set(name, (this.#totals.get(name) ?? 0) + 1);
    const minute = this.#minutes.at(-1);
    minute.set(name, (minute.get(name) ?? 0) + 1);
  }

  has(name) {
    return this.#totals.has(name);
  }

  // So many minutes have begun.
  turn(begun) {
    for (let n = 0; n < Math.min(begun, MINUTES); n += 1) {
      this.#minutes.push(new Map());
      if (this.#minutes.length > MINUTES) this.#forget(this.#minutes.shift());
    }
  }

  #forget(minute) {
    for (const [name, count] of minute) {
      const rest = (this.#totals.get(name) ?? 0) - count;
      if (rest > 0) this.#totals.set(name, rest);
      else this.#totals.delete(name);
    }
  }

  // Takes over what the server counted.
  replace(entries) {
    this.#totals = new Map(entries.slice(0, MOST_NAMES));
    this.#minutes = [new Map()];
  }

  // The first few, as [name, count]; equal counts keep their order, so that nothing
  // changes places without a reason.
  top(most) {
    return [...this.#totals].sort(([, a], [, b]) => b - a).slice(0, most);
  }
}
