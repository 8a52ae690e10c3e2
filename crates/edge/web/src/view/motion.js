// Whether things may move: not for whom motion makes ill, and not where nobody looks.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function moves() {
  return !calm.matches && !document.hidden;
}
