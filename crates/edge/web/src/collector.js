// The dashboard counts its own visits, as any site would: with the collector's script.

// Tells where a collector serves its script; null where there is no collector.
export function trackerUrl(collector) {
  if (typeof collector !== "string") return null;
  return new URL(collector === "/" ? "r.js" : `${collector}/r.js`, location.href).href;
}

let measured = false;

// Once: the script counts this page's visit when it is loaded.
export function measure(collector) {
  const url = trackerUrl(collector);
  if (url === null || measured) return;
  measured = true;
  const script = document.createElement("script");
  script.src = url;
  script.defer = true;
  document.head.append(script);
}
