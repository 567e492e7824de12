"use strict";
// How numbers, times and texts are written.

// What comes from outside is shown as text; what could hide or reorder it is made visible.
const visible = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

const whole = new Intl.NumberFormat("en");
const number = (n) => whole.format(n);
const many = (n, one, more = one + "s") => `${number(n)} ${n === 1 ? one : more}`;
const digits = (n, count) => number(Number(n.toPrecision(count)));
const rate = (n) => n && n < 0.01 ? "< 0.01" : n < 1000 ? digits(n, n < 1 ? 2 : 3) : number(Math.round(n));

function percent(part, all) {
  const share = 100 * part / all;
  return !all ? "–" : part && share < 0.01 ? "< 0.01 %" : part < all && share > 99.99 ? "> 99.99 %" : `${digits(share, share > 99 ? 4 : 2)} %`;
}

function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < 4; unit++) n /= 1024;
  return `${digits(unit ? n : Math.round(n), 3)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

// Seconds, in two units.
function span(s) {
  if (s < 1) return `${digits(s * 1000, 2)} ms`;
  if (s < 10) return `${digits(s, 2)} s`;
  s = Math.round(s);
  const [size, name, smaller, rest] = s < 60 ? [1, "s", 1] : s < 3600 ? [60, "min", 1, "s"] : s < 86400 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const left = Math.floor(s % size / smaller);
  return `${Math.floor(s / size)} ${name}${left ? ` ${left} ${rest}` : ""}`;
}

// A moment, in seconds since 1970: the time of day, with the date where it is another day.
function clock(s) {
  const then = new Date(s * 1000), sv = "sv-SE";
  return (then.toDateString() === new Date().toDateString() ? "" : then.toLocaleDateString(sv) + " ") + then.toLocaleTimeString(sv);
}
