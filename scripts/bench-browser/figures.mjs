// Figures, the bars they are held against, and the table that people read.

const P95_MS = 100;
const TASK_MS = 100;
const RATE = 1_000;

const COLUMNS = [
  ["run", ({ run }) => `${run}`],
  ["events", ({ events }) => `${events}`],
  ["p50 ms", ({ p50 }) => p50.toFixed(1)],
  ["p95 ms", ({ p95 }) => p95.toFixed(1)],
  ["max ms", ({ max }) => max.toFixed(1)],
  ["events/s", ({ rate }) => rate.toFixed(0)],
  ["longest task ms", ({ task }) => taskText(task)],
  ["frames/s", ({ frames }) => frames.toFixed(0)],
  ["longest frame ms", ({ frame }) => frame.toFixed(0)],
];

// The browser does not tell of shorter ones.
function taskText(task) {
  return task === 0 ? "< 50" : task.toFixed(0);
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// The latency is that of the median run. A task is one too many in any run.
export function judged(runs, medians) {
  const worst = Math.max(...runs.map(({ task }) => task));
  const slowest = Math.min(...runs.map(({ rate }) => rate));
  return [
    { text: `event to pixels: p95 ${medians.p95.toFixed(1)} ms, bar ${P95_MS} ms`, reached: medians.p95 <= P95_MS },
    { text: `longest task at ${slowest.toFixed(0)} events/s, of all runs: ${taskText(worst)} ms, bar ${TASK_MS} ms`,
      reached: worst <= TASK_MS && slowest >= RATE * 0.98 },
  ];
}

export function drawTable(rows) {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, text]) => text(row)))];
  const widths = COLUMNS.map((_, at) => Math.max(...cells.map((line) => line[at].length)));
  const drawn = cells.map((line) => `| ${line.map((text, at) => text.padStart(widths[at])).join(" | ")} |`);
  const rule = `| ${widths.map((width) => `${"-".repeat(width - 1)}:`).join(" | ")} |`;
  return [drawn[0], rule, ...drawn.slice(1)].join("\n");
}
