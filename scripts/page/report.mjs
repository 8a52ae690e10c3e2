// What a run prints: one line for each thing that was checked.

let failures = 0;

export function check(good, what, figures = "") {
  if (!good) failures += 1;
  console.log(`${good ? "ok     " : "FAILED "} ${what}${figures === "" ? "" : `: ${figures}`}`);
}

export function failed() {
  return failures > 0;
}
