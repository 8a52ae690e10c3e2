// Keyboard shortcuts: single letters, off while somebody types, and switched off for
// good by whoever speaks to their computer instead (WCAG 2.1.4).

import { shortcuts, tv } from "./preferences.js";

// actions: { letter: function }.
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    // A key that is held would switch on and off as long as it is.
    if (event.repeat) return;
    // The dialog is what Esc closes, and nothing else.
    if (document.querySelector("dialog[open]") !== null) return;
    if (event.key === "Escape" && tv.value) return actions.t();
    if (!shortcuts.value || types(event.target)) return;
    const action = actions[event.key.toLowerCase()];
    if (action === undefined) return;
    // The slash would open the browser's own search, or be typed into the filter.
    event.preventDefault();
    action();
  });
}

function types(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
