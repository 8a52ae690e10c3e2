// What runs inside the page to measure it. Each function is sent to the browser as
// text, so it can use nothing but its argument and the page.

// Installed before the page's own script: blocks of the main thread, when each new row
// of the ticker could be seen and whether the rows are in order, what a screen reader
// would be told, all that the badge of the connection said, and what the content
// security policy refused.
export function install() {
  const probe = {
    longestTask: 0, longestFrame: 0, frames: 0, spoken: [], refused: [], seen: {}, disorder: [], badge: [],
  };
  window.redcastProbe = probe;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      probe.longestTask = Math.max(probe.longestTask, duration);
    }
  }).observe({ type: "longtask" });
  let last = performance.now();
  requestAnimationFrame(function frame() {
    const now = performance.now();
    probe.longestFrame = Math.max(probe.longestFrame, now - last);
    probe.frames += 1;
    last = now;
    requestAnimationFrame(frame);
  });
  document.addEventListener("securitypolicyviolation", (event) => {
    probe.refused.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
  // Rows that are about /mark/NUMBER; those of one run are numbered in order.
  const number = (row) => Number(/\/mark\/(\d+)/.exec(row.textContent)?.[1] ?? -1);
  const look = (ticker) => {
    const numbers = [...ticker.children].map(number).filter((at) => at >= 0);
    const wrong = numbers.findIndex((at, place) => place > 0 && at >= numbers[place - 1]);
    if (wrong > 0 && probe.disorder.length < 5) probe.disorder.push(`${numbers[wrong]} below ${numbers[wrong - 1]}`);
    const fresh = numbers.filter((at) => !(at in probe.seen));
    for (const at of fresh) probe.seen[at] = null;
    // The callback of the second frame runs when the first one, which has the row in it,
    // has been handed over to the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const now = performance.timeOrigin + performance.now();
      for (const at of fresh) probe.seen[at] = now;
    }));
  };
  const hear = (badge) => {
    const text = ["connection-text", "countdown"].map((id) => document.getElementById(id)?.textContent.trim() ?? "").join(" ");
    const said = `${badge.dataset.state}: ${text.trim()}`;
    if (probe.badge.at(-1) !== said && probe.badge.length < 1_000) probe.badge.push(said);
  };
  const spoken = '[role="status"], [role="alert"], [role="log"], [aria-live]';
  // The page makes its parts when it likes, so that all of it is observed.
  new MutationObserver((changes) => {
    const elements = changes.map(({ target }) => (target.nodeType === Node.TEXT_NODE ? target.parentElement : target));
    const ticker = document.getElementById("ticker");
    if (ticker !== null && elements.some((element) => ticker.contains(element))) look(ticker);
    const badge = document.getElementById("connection");
    if (badge !== null && elements.some((element) => badge.contains(element))) hear(badge);
    for (const region of new Set(elements.map((element) => element?.closest?.(spoken)))) {
      if (!region || region.getAttribute("aria-live") === "off") continue;
      probe.spoken.push({ at: performance.now(), region: region.id, text: region.textContent });
    }
  }).observe(document, { attributeFilter: ["data-state"], childList: true, characterData: true, subtree: true });
}

// The lowest contrast of any text that shows, as WCAG 2.1 computes it, and where.
export function lowestContrast() {
  // A canvas reads every colour syntax, and mixes translucent colours as the page does.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const mixed = (colours) => {
    context.fillStyle = document.documentElement.dataset.theme === "dark" ? "#000" : "#fff";
    context.fillRect(0, 0, 1, 1);
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let lowest = { ratio: 21, where: "nowhere", texts: 0 };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === "" || !element.checkVisibility()) continue;
    if (element.closest("script, noscript, .unseen") !== null) continue;
    const behind = [];
    for (let at = element; at !== null; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const ground = luminance(mixed(behind));
    const ink = luminance(mixed([...behind, getComputedStyle(element).color]));
    const ratio = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
    lowest.texts += 1;
    if (ratio < lowest.ratio) {
      const name = element.id || element.className || element.localName;
      lowest = { ...lowest, ratio, where: `${name} "${element.textContent.slice(0, 20)}"` };
    }
  }
  return lowest;
}

// Elements that stick out of the window, or out of a row that would cut them off.
export function stickingOut() {
  const names = [];
  const widest = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > widest) {
    names.push(`the page scrolls to ${document.documentElement.scrollWidth} px`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (!element.checkVisibility() || element.closest("svg, .unseen") !== null) continue;
    const { left, right, width } = element.getBoundingClientRect();
    const name = `${element.localName}${element.id ? `#${element.id}` : `.${element.className}`}`;
    if (right > widest + 0.5 || left < -0.5) names.push(`${name} ends at ${Math.round(right)} px`);
    if (element.matches("#ticker > li > .what") && element.textContent !== "" && width < 24) {
      names.push(`${name} is ${Math.round(width)} px wide`);
    }
  }
  return names;
}
