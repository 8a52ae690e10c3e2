// Page views per second: the figure, and the last minute as a chart that moves on once
// a second.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { resolvedTheme, tv } from "../preferences.js";
import { pace } from "../state.js";
import { compact, rate } from "../numbers.js";

const SECONDS = Array.from({ length: 60 }, (_, at) => at - 59);

export function Rate() {
  const { rate: now, views, seconds } = pace.value;
  const peak = Math.max(...seconds);
  const title = views ? "Page views per second" : "Events per second";
  return (
    <section class="rate" aria-labelledby="rate-title">
      <h2 id="rate-title">{title}</h2>
      <p id="rate" class="figure">{rate(now)}</p>
      <Chart title={title} key={tv.value} />
      <p class="scale beside">
        <span>1 min ago</span>
        <span id="rate-peak">{peak > 0 ? `peak ${compact(peak)}` : ""}</span>
        <span>now</span>
      </p>
    </section>
  );
}

function Chart({ title }) {
  const holder = useRef(null);
  const chart = useRef(null);
  useEffect(() => {
    const box = holder.current;
    const plot = new uPlot(options(box), [SECONDS, pace.peek().seconds], box);
    chart.current = plot;
    const resized = new ResizeObserver(() => plot.setSize(size(box)));
    resized.observe(box);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, []);
  const { seconds } = pace.value;
  useEffect(() => chart.current.setData([SECONDS, seconds]), [seconds]);
  // The canvas keeps the colours it was drawn with.
  useEffect(() => chart.current.redraw(), [resolvedTheme.value]);
  return <div id="rate-chart" class="chart" ref={holder} role="img" aria-label={`${title} over the last minute`} />;
}

function size({ clientWidth, clientHeight }) {
  return { width: Math.max(50, clientWidth), height: Math.max(40, clientHeight) };
}

function options(holder) {
  // Read from across a room, there is a place for few and large words.
  const [wide, apart, words] = tv.peek() ? [64, 90, "20px"] : [36, 34, "12px"];
  const colour = (name) => () => getComputedStyle(holder).getPropertyValue(name);
  return {
    ...size(holder),
    padding: [6, 0, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false },
    scales: {
      x: { time: false, range: [-59, 0] },
      // Never flatter than one view, or silence would be drawn as noise.
      y: { range: (_, lowest, highest) => [0, Math.max(1, highest) * 1.05] },
    },
    axes: [
      { show: false },
      {
        side: 1,
        size: wide,
        gap: 6,
        stroke: colour("color"),
        font: `${words} system-ui, sans-serif`,
        space: apart,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 5e4, 1e5],
        // The bottom line is nothing, which needs no word.
        values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "" : compact(tick))),
        grid: { stroke: colour("outline-color"), width: 1 },
        ticks: { show: false },
      },
    ],
    series: [
      {},
      {
        stroke: colour("stroke"),
        fill: colour("fill"),
        width: 2,
        paths: uPlot.paths.spline(),
        points: { show: false },
      },
    ],
  };
}
