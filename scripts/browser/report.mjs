// What a run prints: one line for each thing that was checked, and at its end those
// that failed once more.

const failures = [];

export function check(good, what, figures = "") {
  const line = `${what}${figures === "" ? "" : `: ${figures}`}`;
  if (!good) failures.push(line);
  console.log(`${good ? "ok     " : "FAILED "} ${line}`);
}

export function failed() {
  return failures;
}
