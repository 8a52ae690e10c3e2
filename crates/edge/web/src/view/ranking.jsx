// A list of who is on top. Rows that change places move there, instead of jumping.

import { useLayoutEffect, useRef } from "preact/hooks";

import { tops } from "../state.js";
import { count } from "../numbers.js";
import { moves } from "./motion.js";

const MOVE_MS = 450;

// id: "pages" or "referrers".
export function Ranking({ id, title, empty }) {
  const list = useRef(null);
  const places = useRef(new Map());
  const entries = tops.value[id];
  const most = Math.max(1, ...entries.map(([, views]) => views));
  useLayoutEffect(() => {
    places.current = settle(list.current, places.current);
  }, [entries]);
  return (
    <section class={`ranking ${id}`} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      <ol id={id} ref={list}>
        {entries.map(([name, views]) => (
          <li key={name} data-key={name}>
            <span class="bar" style={{ "--share": views / most }} aria-hidden="true" />
            <span class="name" title={name}>{name}</span>
            <span class="views">{count(views)}</span>
          </li>
        ))}
      </ol>
      {entries.length === 0 && <p class="empty">{empty}</p>}
    </section>
  );
}

// Lets each row travel from where it was, and those that are new appear. Gives back
// where they are now.
function settle(list, before) {
  const now = new Map([...list.children].map((row) => [row.dataset.key, row.offsetTop]));
  if (before.size === 0 || !moves()) return now;
  for (const row of list.children) {
    const from = before.get(row.dataset.key);
    const by = from - now.get(row.dataset.key);
    const timing = { duration: MOVE_MS, easing: "cubic-bezier(.2,.7,.2,1)" };
    if (from === undefined) row.animate({ opacity: [0, 1] }, timing);
    else if (by !== 0) row.animate({ transform: [`translateY(${by}px)`, "none"] }, timing);
  }
  return now;
}
