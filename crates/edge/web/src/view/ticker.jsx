// The newest events as they arrive.

import { useLayoutEffect, useRef } from "preact/hooks";

import { anything, filter, hovered, paused, rows, waiting } from "../state.js";
import { clock, count } from "../numbers.js";
import { moves } from "./motion.js";

// A row that comes alone glows; where many come, that would be a flicker.
const ALONE_FOR_MS = 900;
const GLOW_MS = 1_600;

export function Ticker({ intake }) {
  return (
    <section class="ticker" aria-labelledby="ticker-title">
      <div class="bar">
        <h2 id="ticker-title">Live events</h2>
        <p id="held" class="held">{held()}</p>
        <label class="unseen" for="filter">Filter the live events</label>
        <input
          id="filter" type="search" placeholder="Filter" autocomplete="off" spellcheck={false} maxLength={100}
          onInput={(event) => intake.filter(event.currentTarget.value)}
        />
        <button type="button" id="pause" aria-pressed={paused.value} onClick={() => intake.pause(!paused.value)}>Pause</button>
      </div>
      <Rows intake={intake} />
      {rows.value.length === 0 && <p id="empty" class="empty">{emptiness()}</p>}
    </section>
  );
}

function held() {
  if (!paused.value && !hovered.value) return "";
  const more = waiting.value === 0 ? "" : `${count(waiting.value)} new`;
  return paused.value ? ["paused", more].filter(Boolean).join(", ") : more;
}

function emptiness() {
  if (filter.value.trim() !== "" && anything.value) return "None of the newest events has these words.";
  return "Nothing yet. The next event appears here.";
}

function Rows({ intake }) {
  const list = useRef(null);
  const newest = useRef(0);
  const cameAt = useRef(-Infinity);
  const shown = rows.value;
  useLayoutEffect(() => {
    const fresh = shown.filter(({ id }) => id > newest.current).length;
    if (fresh === 0) return;
    const now = performance.now();
    const alone = fresh === 1 && now - cameAt.current > ALONE_FOR_MS;
    cameAt.current = now;
    newest.current = shown[0].id;
    if (!alone || !moves()) return;
    const row = list.current.firstElementChild;
    row.animate({ backgroundColor: [getComputedStyle(row).fill, "transparent"] }, GLOW_MS);
  }, [shown]);
  return (
    <ol
      id="ticker" ref={list} tabIndex={0} aria-labelledby="ticker-title"
      onPointerEnter={(event) => event.pointerType === "mouse" && intake.hover(true)}
      onPointerLeave={() => hovered.value && intake.hover(false)}
    >
      {shown.map((row) => <Row key={row.id} row={row} />)}
    </ol>
  );
}

function Row({ row: { at, kind, what, more } }) {
  const time = new Date(at);
  return (
    <li>
      <time dateTime={time.toISOString()}>{clock(time)}</time>
      <span class="kind">{kind}</span>
      <span class="what">{what}</span>
      <span class="more">{more}</span>
    </li>
  );
}
