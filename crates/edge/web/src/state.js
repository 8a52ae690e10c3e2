// What the page shows, as signals: whoever reads one is painted again when it changes,
// and nobody else.

import { computed, signal } from "@preact/signals";

// The connection: { name: connecting | live | waiting, why, until }.
export const link = signal({ name: "connecting", why: null, until: null });
export const info = signal(null);
export const latency = signal(null);
// The one that this page is connected to.
export const instance = signal("");
// Whether the statistics are old, as the gateway says or by their absence.
export const stale = signal(false);
// Whole seconds until the next try.
export const countdown = signal(null);

export const figures = signal(null);
export const tops = signal({ pages: [], referrers: [] });
// The people of the last minutes, for the sparkline.
export const crowd = signal([]);
// { rate, seconds, views }: the mean of the last seconds, the last 60 of them, and
// whether all of the events were page views.
export const pace = signal({ rate: 0, seconds: new Array(60).fill(null), views: true });

export const rows = signal([]);
export const paused = signal(false);
export const waiting = signal(0);
export const hovered = signal(false);
export const filter = signal("");
export const anything = signal(false);
export const notices = signal([]);

// Whether it is the instance we are connected to that says so. Where several stand
// behind one address, any of them may answer.
export function isOurs(said) {
  return String(said.instance) === instance.value;
}

// What the badge says: the worst of what is known.
export const condition = computed(() => {
  if (link.value.name !== "live") return link.value.name;
  if (info.value?.broker_connected === false && isOurs(info.value)) return "deaf";
  return stale.value ? "stale" : "live";
});

const SAID = {
  connecting: "connecting",
  live: "live",
  deaf: "connected, but the gateway has lost Redis",
  waiting: "disconnected",
  stale: "connected, but the statistics are old",
};

export const conditionText = computed(() => {
  const { why } = link.value;
  return why === null ? SAID[condition.value] : `${SAID[condition.value]}: ${why}`;
});
