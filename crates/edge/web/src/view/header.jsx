// Who speaks, over which connection, and how the page looks.

import { useEffect, useRef } from "preact/hooks";

import { nextTheme, resolvedTheme, theme, toggleTv } from "../preferences.js";
import { condition, conditionText, countdown, info, instance, latency } from "../state.js";
import { count } from "../numbers.js";
import { toggleHelp } from "./help.jsx";

// A screen reader is told of a state no sooner than this after the last one.
const SPEAK_EVERY_MS = 2_000;

export function Header() {
  return (
    <header>
      <div class="brand">
        <img src="./icon.svg" alt="" width="28" height="28" />
        <h1>Redcast</h1>
        <p class="channel"><span class="unseen">Channel </span><code id="channel">{info.value?.channel ?? ""}</code></p>
      </div>
      <Badge />
      <Controls />
    </header>
  );
}

function Badge() {
  const ms = latency.value;
  return (
    <div id="connection" class="badge" data-state={condition.value}>
      <span class="dot" aria-hidden="true" />
      <p>
        <span id="connection-text">{conditionText}</span>
        <span id="countdown">{countdown.value === null ? "" : `, next try in ${count(countdown.value)} s`}</span>
      </p>
      <p class="wire">
        <span id="latency">{ms === null ? "" : `${count(Math.max(1, Math.round(ms)))} ms`}</span>
        <code id="instance" title="The instance that this page is connected to">{instance}</code>
      </p>
      <Spoken />
    </div>
  );
}

// What is spoken lags behind what is shown, so that it is neither each single try nor a
// state that was over at once.
function Spoken() {
  const region = useRef(null);
  useEffect(() => {
    const timer = setInterval(() => {
      const text = conditionText.value;
      if (condition.value !== "connecting" && region.current.textContent !== text) {
        region.current.textContent = text;
      }
    }, SPEAK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return <p id="spoken" class="unseen" role="status" ref={region} />;
}

const THEME_SAID = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function Controls() {
  return (
    <div class="controls">
      <button type="button" id="theme" onClick={nextTheme} aria-label={THEME_SAID[theme.value]} title={`${THEME_SAID[theme.value]} (d)`}>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <circle cx="10" cy="10" r="6.5" />
          <path class="filled" d={theme.value === "auto" ? "M10 3.5a6.5 6.5 0 0 1 0 13z" : resolvedTheme.value === "dark" ? "M10 3.5a6.5 6.5 0 0 1 0 13 6.5 6.5 0 0 1 0-13z" : ""} />
        </svg>
      </button>
      <button type="button" id="tv" onClick={toggleTv} aria-label="TV mode" title="TV mode (t)">
        <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M3 7V3.5h4M13 3.5h4V7M17 13v3.5h-4M7 16.5H3V13" /></svg>
      </button>
      <button type="button" id="help" onClick={toggleHelp} aria-label="Keyboard and help" title="Keyboard and help (?)">
        <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M7 7.4a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 2" /><path d="M10 15.2v.1" /></svg>
      </button>
    </div>
  );
}
