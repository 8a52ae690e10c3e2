// Figures and times as the visitor's language writes them.

const whole = new Intl.NumberFormat([], { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat([], { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat([], { notation: "compact", maximumFractionDigits: 1 });
const large = new Intl.NumberFormat([], { notation: "compact", maximumSignificantDigits: 4 });
const time = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });

// In full as long as a phone has the room for it.
export function count(number) {
  return number < 1e8 ? whole.format(number) : large.format(number);
}

// A rate: small ones need their tenths to be told from nothing.
export function rate(perSecond) {
  return perSecond > 0 && perSecond < 9.95 ? tenths.format(perSecond) : whole.format(perSecond);
}

// For the scale of a chart.
export function compact(number) {
  return short.format(number);
}

export function clock(date) {
  return time.format(date);
}
