// What a visitor chose, kept by the browser where it lets us: the theme, TV mode (in
// the address, so that it can be bookmarked for a wall) and keyboard shortcuts.

import { computed, effect, signal } from "@preact/signals";

const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(dark.matches);
dark.addEventListener("change", () => (systemDark.value = dark.matches));

export const theme = signal(THEMES.includes(recall("theme")) ? recall("theme") : "auto");
export const resolvedTheme = computed(() =>
  theme.value === "auto" ? (systemDark.value ? "dark" : "light") : theme.value);
export const tv = signal(new URLSearchParams(location.search).get("tv") === "1");
export const shortcuts = signal(recall("shortcuts") !== "off");

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
}

export function toggleTv() {
  tv.value = !tv.value;
  const url = new URL(location.href);
  if (tv.value) url.searchParams.set("tv", "1");
  else url.searchParams.delete("tv");
  history.replaceState(null, "", url);
  // A browser may refuse; the page fills its window all the same.
  if (tv.value) document.documentElement.requestFullscreen?.().catch(() => {});
  else if (document.fullscreenElement !== null) document.exitFullscreen().catch(() => {});
}

// Browsers keep Esc to themselves where the page fills the screen.
addEventListener("fullscreenchange", () => {
  if (document.fullscreenElement === null && tv.value) toggleTv();
});

effect(() => {
  document.documentElement.dataset.theme = resolvedTheme.value;
  remember("theme", theme.value);
});
effect(() => remember("shortcuts", shortcuts.value ? "on" : "off"));
effect(() => {
  if (tv.value) document.body.dataset.tv = "";
  else delete document.body.dataset.tv;
});

// A browser that keeps nothing throws when it is asked to.
function recall(name) {
  try {
    return localStorage.getItem(`redcast.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`redcast.${name}`, value);
  } catch {
    // Then it lasts as long as the page.
  }
}
