// Reads what the gateway sends. Reading a megabyte as JSON takes a browser longer than
// a frame of the screen lasts, and only a line of it could be shown: so a huge event is
// not read but cut.

const HUGE_CHARACTERS = 32 * 1024;
const KEPT_CHARACTERS = 1_024;

// Gives back the frame's object; of a huge event { type, channel, data, size }, where
// `data` is the beginning of the payload's text.
export function readFrame(text) {
  if (text.length > HUGE_CHARACTERS && text.startsWith('{"type":"event"')) return cut(text);
  try {
    const frame = JSON.parse(text);
    if (typeof frame === "object" && frame !== null) return frame;
  } catch {
    // A browser may be unable to read what is valid, such as very deep nesting.
  }
  return { type: "error", message: "something came that this browser can't read" };
}

function cut(text) {
  const head = text.slice(0, KEPT_CHARACTERS);
  const channel = /"channel":"([^"]*)"/.exec(head)?.[1] ?? "";
  const begins = head.indexOf('"data":');
  const data = begins < 0 ? head : head.slice(begins + '"data":'.length);
  return { type: "event", channel, data, size: text.length };
}
