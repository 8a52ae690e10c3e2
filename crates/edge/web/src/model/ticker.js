// The newest events as rows, and those of them that the filter lets through. Both are
// bounded; rows keep arriving while the list on the screen stands still.

const SHOWN = 50;
// As many are looked through when the filter changes.
const KEPT = 500;

export class Ticker {
  // The newest that the filter lets through, the newest last.
  #matches = [];
  #rows = [];
  #filter = "";
  #count = 0;
  // How many rows had matched when the list stopped.
  #heldAt = null;
  #shown = [];
  #matched = 0;

  add(row) {
    this.#count += 1;
    row.id = this.#count;
    keep(this.#rows, row, KEPT);
    if (!this.#lets(row)) return;
    this.#matched += 1;
    keep(this.#matches, row, SHOWN);
  }

  filter(text) {
    this.#filter = text.trim().toLowerCase();
    this.#matches = this.#rows.filter((row) => this.#lets(row)).slice(-SHOWN);
    this.#shown = this.#matches.slice();
    if (this.#heldAt !== null) this.#heldAt = this.#matched;
  }

  // Again and again, while the list is paused and the pointer comes and goes.
  hold() {
    if (this.#heldAt !== null) return;
    this.#shown = this.#matches.slice();
    this.#heldAt = this.#matched;
  }

  release() {
    this.#heldAt = null;
  }

  // How many have come since the list was stopped.
  get waiting() {
    return this.#heldAt === null ? 0 : this.#matched - this.#heldAt;
  }

  get any() {
    return this.#count > 0;
  }

  // The newest first.
  rows() {
    return (this.#heldAt === null ? this.#matches : this.#shown).toReversed();
  }

  #lets({ kind, what, more }) {
    return this.#filter === "" || `${kind} ${what} ${more}`.toLowerCase().includes(this.#filter);
  }
}

function keep(list, row, most) {
  list.push(row);
  if (list.length > most) list.shift();
}
