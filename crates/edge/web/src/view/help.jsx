// What the keys do, and where the figures come from.

import { shortcuts } from "../preferences.js";

const KEYS = [
  ["p", "Pause the live events, or let them go on"],
  ["/", "Filter the live events"],
  ["t", "TV mode: the whole screen, figures alone; Esc ends it"],
  ["d", "Theme: as the system, light, dark"],
  ["?", "This help"],
];

export function toggleHelp() {
  const dialog = document.getElementById("help-dialog");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

export function Help() {
  return (
    <dialog id="help-dialog" aria-labelledby="help-title" onClick={closeOutside}>
      <div class="help">
        <h2 id="help-title">Keyboard and help</h2>
        <dl class="keys">
          {KEYS.map(([key, does]) => (
            <div key={key}>
              <dt><kbd>{key}</kbd></dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <label class="switch">
          <input
            type="checkbox"
            id="shortcuts"
            checked={shortcuts.value}
            onChange={(event) => (shortcuts.value = event.currentTarget.checked)}
          />
          Single letters are shortcuts
        </label>
        <p>
          Figures come from the statistics that a producer keeps in Redis, every few seconds; in
          between, each event counts at once. Where nobody keeps statistics, this page counts what
          it sees itself, and says so.
        </p>
        <p>Under the pointer the list of live events stands still.</p>
        <form method="dialog"><button type="submit">Close</button></form>
      </div>
    </dialog>
  );
}

// The dialog's box fills its content, so a click on the dialog itself is beside it.
function closeOutside(event) {
  if (event.target === event.currentTarget) event.currentTarget.close();
}
