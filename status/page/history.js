// What the last minutes were: the differences between answers.

const WINDOW = 300;
// Below this many seconds, the counters since their beginning say more.
const ENOUGH = 30;

// The browser keeps them with the page's address: a page that is loaded again goes on where it was.
let samples = history.state || [];

// Whether the counters have begun anew.
function remember(sample) {
  const last = samples.at(-1);
  const anew = last && (last.started !== sample.started || last.attempts > sample.attempts);
  // Nor do those before a clock was set back, or of another version of this page, make sense.
  if (anew || last && (last.now > sample.now || Object.keys(sample).some((key) => !(key in last)))) samples = [];
  if (!last || last.now !== sample.now) samples.push(sample);
  // The first is at the beginning of the window, or up to a minute before: hidden pages ask seldom.
  const from = sample.now - WINDOW;
  while (samples.length > 1 && (samples[1].now < from || samples[0].now < from - 60)) samples.shift();
  return anew;
}

// For how many seconds there is something to compare with.
const covered = () => samples.length && samples.at(-1).now - samples[0].now;

// By how much a number has grown in this time.
const grown = (of) => samples.length ? of(samples.at(-1)) - of(samples[0]) : 0;

// How many handshakes failed at an upstream, and how many succeeded.
const atUpstream = (address) => ["failedAt", "wellAt"].map((key) => grown((sample) => sample[key][address] || 0));

// The growth per second between each two answers, as [time, value].
const rates = (of) => samples.slice(1).map((sample, at) =>
  [sample.now, (of(sample) - of(samples[at])) / (sample.now - samples[at].now)]);

// The growth per second now; over a few seconds, so that it can be read.
function present(of) {
  const last = samples.at(-1), from = samples.find(({ now }) => now > last.now - 7);
  return from === last ? 0 : (of(last) - of(from)) / (last.now - from.now);
}
