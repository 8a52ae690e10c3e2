// Events that a producer should not send, and that anyone with access to Redis can.

const SCRIPT = "<img src=x onerror='redcastHacked=true'><script>redcastHacked=true</script>";

export function hostileEvents() {
  const view = (fields) => JSON.stringify({ type: "page_view", data: { path: "/", ...fields } });
  return [
    SCRIPT,
    JSON.stringify({ type: SCRIPT, data: SCRIPT }),
    view({ path: SCRIPT, referrer: "javascript:redcastHacked=true", country: SCRIPT, device: SCRIPT }),
    // Long: as text, as a type, as a path, and in the column that is as wide as its text.
    "x".repeat(100 << 10),
    JSON.stringify("long ".repeat(20 << 10)),
    JSON.stringify({ type: "t".repeat(100 << 10) }),
    view({ path: `/${"p".repeat(100 << 10)}` }),
    view({ path: "/wide", referrer: `https://${"r".repeat(60)}.example/`, country: "c".repeat(10_000) }),
    // Deep: more than a recursive parser or printer can bear.
    "[".repeat(60_000) + "]".repeat(60_000),
    '{"a":'.repeat(15_000) + "1" + "}".repeat(15_000),
    // Control characters, raw and as JSON, a terminal's escapes, and text that runs backwards.
    "a\u0000b\u0007c\u001b[31mred\u001b[0m\r\n\td\u007fe\u0085f",
    JSON.stringify({ type: "\u0000\u001b[2J", data: "\u202egnp.exe\u2066\u200f" }),
    view({ path: "/\u202egnp.exe\u2028next\u0000", country: "\u202eON" }),
    // Not UTF-8, half a surrogate pair, a pile of accents, and right-to-left text.
    Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28]),
    '{"type":"half","data":"\\ud83d"}',
    view({ path: `/z${"\u0300\u0316".repeat(200)}` }),
    view({ path: "/مرحبا بالعالم", country: "EG" }),
    // Values that JavaScript treats in its own way.
    "",
    "null",
    "1e400",
    '{"__proto__":{"type":"x"},"type":{"toString":1},"data":{"path":7}}',
    '{"type":"page_view","data":null}',
    '{"type":"page_view","data":{"path":"","referrer":{},"country":["NO"],"device":{"a":1}}}',
  ];
}
