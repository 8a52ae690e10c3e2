// Counts per stretch of time, for the last so many of them.

// The last entry is the stretch that runs now. What is not known is null, which is not
// the same as nothing.
export class Window {
  counts;
  #length;
  #stretch;

  // size: how many stretches are kept; length: of each, in milliseconds.
  constructor(size, length, now, known = 0) {
    this.counts = [...new Array(size - 1).fill(known), 0];
    this.#length = length;
    this.#stretch = Math.floor(now / length);
  }

  add(now) {
    this.turn(now);
    this.counts[this.counts.length - 1] += 1;
  }

  // Lets go of what is too old; by the clock, because the timers of a hidden tab are
  // late. Gives back how many stretches have begun.
  turn(now) {
    const stretch = Math.floor(now / this.#length);
    const begun = Math.max(0, stretch - this.#stretch);
    for (let n = 0; n < Math.min(begun, this.counts.length); n += 1) {
      this.counts.push(0);
      this.counts.shift();
    }
    this.#stretch = Math.max(stretch, this.#stretch);
    return begun;
  }

  // Nobody was there to count in the stretch that ended last.
  unknown() {
    this.counts[this.counts.length - 2] ||= null;
  }

  // Takes counts over, the newest last.
  replace(counts, now) {
    this.turn(now);
    const size = this.counts.length;
    const newest = counts.slice(-size);
    this.counts = [...new Array(size - newest.length).fill(0), ...newest];
  }
}
