// The page views of each of the last 30 minutes, as bars.

import { figures } from "../state.js";
import { compact, count } from "../numbers.js";

const EMPTY = new Array(30).fill(0);

export function HalfHour() {
  const { minutes = EMPTY, halfHour = 0 } = figures.value ?? {};
  const most = Math.max(...minutes);
  const peak = Math.max(1, most);
  return (
    <section class="half-hour" aria-labelledby="half-hour-title">
      <h2 id="half-hour-title">Last 30 minutes</h2>
      <p class="figure"><span id="half-hour-total">{count(halfHour)}</span> <small>{halfHour === 1 ? "page view" : "page views"}</small></p>
      <svg id="half-hour" viewBox="0 0 300 100" preserveAspectRatio="none" role="img" aria-label={`Page views of each of the last 30 minutes: ${count(minutes[29])} in this one, at most ${count(most)}`}>
        {minutes.map((views, at) => {
          // A minute without views keeps a trace, so that the scale can be seen.
          const height = views === 0 ? 1 : Math.max(3, (views / peak) * 100);
          return <rect key={at} class={views === 0 ? "none" : at === 29 ? "now" : ""} x={at * 10 + 1} y={100 - height} width="8" height={height} />;
        })}
      </svg>
      <p class="scale"><span>30 min ago</span><span>{most > 0 ? `peak ${compact(most)}` : ""}</span><span>now</span></p>
    </section>
  );
}
