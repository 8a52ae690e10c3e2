// How many people are here now, and how that went over the last minutes.

import { condition, crowd, figures, info } from "../state.js";
import { count } from "../numbers.js";

const WIDTH = 300;
const HEIGHT = 48;
// Room for the line's own thickness.
const INSET = 3;

export function People() {
  const { people = 0, peopleByServer = true } = figures.value ?? {};
  const text = count(people);
  return (
    <section class="people" aria-labelledby="people-title">
      <h2 id="people-title">
        <span class="pulse" data-on={condition.value === "live" && people > 0} aria-hidden="true" />
        {peopleByServer ? "People here now" : "Visitors seen in 5 minutes"}
      </h2>
      <p id="people" class="hero" style={{ "--letters": text.length }}>{text}</p>
      <Spark />
      <p class="scale"><span>{source(peopleByServer)}</span></p>
    </section>
  );
}

function source(byServer) {
  if (!byServer) return "counted by this page: there are no statistics";
  const exact = info.value?.dashboard?.snapshot?.counts_connections;
  return exact ? "pages that are open at this moment" : "seen in the last 5 minutes";
}

function Spark() {
  const points = crowd.value;
  const highest = Math.max(1, ...points);
  // Not from nothing, or no change would be seen; not from the lowest, or each would be
  // a cliff.
  const lowest = Math.min(highest * 0.6, ...points);
  const range = highest - lowest;
  const drawn = points.map((people, at) => {
    const x = WIDTH - points.length + 1 + at;
    const y = HEIGHT - INSET - ((people - lowest) / range) * (HEIGHT - 2 * INSET);
    return `${x},${y.toFixed(1)}`;
  });
  const line = drawn.length === 0 ? "" : `M${drawn.join("L")}`;
  return (
    <svg id="people-spark" class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label="People over the last 5 minutes">
      {drawn.length > 1 && <path class="area" d={`${line}L${WIDTH},${HEIGHT}L${WIDTH - points.length + 1},${HEIGHT}Z`} />}
      {drawn.length > 1 && <path class="line" d={line} />}
    </svg>
  );
}
