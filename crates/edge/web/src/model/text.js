// What an event says in one row. Its bytes are a stranger's: whatever they are, what
// comes out of here is short, costs little to make, and has no character that could
// hide or turn round what stands beside it.

const LONGEST_TEXT = 400;
const LONGEST_KIND = 40;

// Page views get words of their own, all else is shown as it came.
export function describe({ channel, data, encoding, size }) {
  if (size !== undefined) return say(channel, data, `${Math.round(size / 1024)} KiB`);
  if (encoding === "base64") return say(channel, data, "binary");
  if (typeof data !== "object" || data === null) return say(channel, String(data), "");
  const kind = typeof data.type === "string" ? data.type.slice(0, LONGEST_TEXT).replaceAll("_", " ") : channel;
  const view = data.data;
  if (data.type !== "page_view" || typeof view?.path !== "string") {
    return say(kind, preview(data, LONGEST_TEXT + 1), "");
  }
  const more = [referrer(view.referrer), view.country, view.device];
  return say(kind, view.path, more.filter((part) => part && typeof part === "string").join(" · "));
}

function say(kind, what, more) {
  return {
    kind: shorten(kind, LONGEST_KIND) || "(none)",
    what: shorten(what) || "(empty)",
    more: shorten(more),
  };
}

// The beginning of a value as JSON. JSON.stringify would print a megabyte to show a
// line of it, and may throw where values are nested very deep; here each level takes a
// character of the room, so the room bounds the depth too.
function preview(value, room) {
  if (typeof value === "string") return JSON.stringify(value.slice(0, room));
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    let text = "[";
    for (let at = 0; at < value.length && text.length < room; at += 1) {
      text += `${at === 0 ? "" : ","}${preview(value[at], room - text.length)}`;
    }
    return `${text}]`;
  }
  let text = "{";
  for (const key in value) {
    if (text.length >= room) break;
    text += `${text === "{" ? "" : ","}${JSON.stringify(key.slice(0, room))}:`;
    text += preview(value[key], room - text.length);
  }
  return `${text}}`;
}

function referrer(address) {
  if (typeof address !== "string" || address === "") return "direct";
  return `from ${hostAndPath(address)}`;
}

function hostAndPath(address) {
  try {
    const { host, pathname } = new URL(address);
    return `${host}${pathname === "/" ? "" : pathname}` || address;
  } catch {
    return address;
  }
}

// The host that a view was referred by; none where it came by itself.
export function referrerHost(address) {
  if (typeof address !== "string" || address === "") return null;
  try {
    return shorten(new URL(address).host, LONGEST_TEXT) || null;
  } catch {
    return shorten(address, LONGEST_TEXT);
  }
}

// Shortens a text and marks what can't be seen: control characters, halves of surrogate
// pairs, and what reverses the direction of the text. Tabs and line breaks show as spaces.
export function shorten(text, longest = LONGEST_TEXT) {
  // The cut must not go through a pair of surrogates.
  const cut = text.length > longest
    ? `${text.slice(0, longest).replace(/[\ud800-\udbff]$/, "")}…`
    : text;
  return cut.replace(/(?![\t\n\r])[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/gu, "\ufffd");
}
