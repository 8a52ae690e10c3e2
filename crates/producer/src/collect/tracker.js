// Redcast's tracker: tells the collector it came from which page of a site is looked at.
// It keeps nothing in the browser and sends nothing but the page's address without its
// query, and where the visitor came from.
(function () {
  var script = document.currentScript;
  // Who asks not to be counted is not: Do Not Track, Global Privacy Control.
  if (!script || navigator.doNotTrack == 1 || window.doNotTrack == 1 || navigator.globalPrivacyControl) return;
  var collector = new URL("collect", script.src).href;
  var referrer = document.referrer;
  // The address that was counted last.
  var counted;

  function count() {
    // A page that is made ready or opened in the background counts once it is seen.
    if (document.prerendering || document.visibilityState == "hidden") return;
    // What follows the path may hold anything, and is changed by filters and tabs.
    var page = location.href.split(/[?#]/)[0];
    if (page == counted || !/^http/.test(page)) return;
    counted = page;
    // Text needs no question beforehand whether it may be sent (CORS).
    var body = JSON.stringify({ url: page, referrer: referrer });
    referrer = page;
    if (!navigator.sendBeacon || !navigator.sendBeacon(collector, body))
      fetch(collector, { method: "POST", body: body, keepalive: true, mode: "no-cors", credentials: "omit" }).catch(function () {});
  }

  // Sites that draw their next page themselves tell the browser's history alone.
  ["pushState", "replaceState"].forEach(function (name) {
    var original = history[name];
    history[name] = function () {
      var result = original.apply(this, arguments);
      count();
      return result;
    };
  });
  addEventListener("popstate", count);
  // A page that comes back out of the browser's cache is looked at once more.
  addEventListener("pageshow", function (event) {
    if (event.persisted) counted = 0;
    count();
  });
  document.addEventListener("prerenderingchange", count);
  document.addEventListener("visibilitychange", count);
  count();
})();
