// Asks, and shows what comes.

const EVERY = 2000, HIDDEN = 15000, PATIENCE = 10000;
const FEW = 10;

const wholly = { failures: false, ends: false };     // whether a ring is shown whole
let timer, asking, paused, answered;

const charts = [
  new Chart("plot-active", { open: "one" }, number, 10, 10),
  new Chart("plot-handshakes", { established: "one", failed: "two" }, rate),
  new Chart("plot-bytes", { in: "one", out: "three" }, bytes, 1024, 1024),
];

function question() {
  const said = new URLSearchParams({ format: "json", tunnels: ROWS, offset: view.offset, sort: view.sort });
  for (const [key, value] of filters()) said.set(key, value);
  // The verdict is from the whole ring until there is something to compare with.
  for (const ring in wholly) if (!wholly[ring] && covered() >= ENOUGH) said.set(ring, FEW);
  return `?${said}`;
}

async function poll() {
  clearTimeout(timer);
  asking?.abort();
  const mine = asking = new AbortController();
  const limit = setTimeout(() => mine.abort(), PATIENCE);
  const answer = await fetch(question(), { cache: "no-store", signal: mine.signal }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  clearTimeout(limit);
  if (mine !== asking) return;
  if (!paused) timer = setTimeout(poll, document.hidden ? HIDDEN : EVERY);
  if (answer?.ok && body) show(body);
  else if (answer?.status === 400) {
    // A filter that nginx doesn't understand: the one before it stays.
    Object.assign(view, good);
    put($("problem"), visible(body.error));
  } else if (answer && !answer.ok) silent("nginx gives no status", visible(body?.error || `It answered ${answer.status}`));
  else silent("nginx does not answer", "It is not running, or there is no way to it");
}

// What is shown is old.
function silent(title, why) {
  document.body.className = answered ? "stale" : "";
  showHealth("bad", title, `${why}.${answered ? ` What is below is from ${clock(answered)}.` : ""} This page goes on asking.`);
}

function show(answer) {
  answered = Date.now() / 1000;
  document.body.className = "";
  findControl(answer.control);
  const sample = sampleOf(answer);
  if (remember(sample)) put($("notice"), `The counters began anew at ${clock(sample.started)}: nginx was started, or its zone is another.`);
  showHealth(...judge(sample, answer));
  showNumbers(answer.zone, sample);
  showTables(answer);
  showRing(failureTable, "failures", answer.failures, "No handshake has failed.");
  showRing(endTable, "ends", answer.ends, "No tunnel has ended.");
  showTunnels(answer);
  showFacts(answer);
  follow();
}

function sampleOf({ time, zone, totals, upstreams }) {
  const at = (of) => Object.fromEntries(upstreams.map((upstream) => [upstream.upstream, of(upstream)])), ends = {};
  for (const { reason, count } of totals.closes) ends[reason] = (ends[reason] || 0) + count;
  return {
    now: time, started: zone.since, attempts: totals.attempts, established: totals.established, active: totals.active,
    in: totals.from_client.bytes, out: totals.from_upstream.bytes, causes: allCauses(totals), ends,
    failedAt: at(({ failed }) => failed.total), wellAt: at(({ established }) => established),
  };
}

function showNumbers({ peak }, { active, now }) {
  put($("active"), number(active));
  put($("peak"), peak ? `${number(peak)} at most` : "");
  charts[0].draw([samples.map(({ now, active }) => [now, active])], now);
  const lines = (chart, write, of) => {
    for (const id in of) put($(id), write(present(of[id])));
    chart.draw(Object.values(of).map(rates), now);
  };
  lines(charts[1], rate, { established: (s) => s.established, failing: (s) => sum(s.causes) });
  lines(charts[2], bytes, { in: (s) => s.in, out: (s) => s.out });
}

function showRing(table, name, list, empty) {
  table.show(wholly[name] ? list : list.slice(0, FEW), (item) => String(item.number), empty);
  $(`more-${name}`).hidden = list.length < FEW;
}

put($("host"), `on ${location.host}`);
for (const name in wholly) {
  const more = button("Show all that are kept", () => {
    wholly[name] = !wholly[name];
    put(more, wholly[name] ? "Show the last few" : "Show all that are kept");
    poll();
  }, { id: `more-${name}`, hidden: true });
  $(name).append(more);
}
$("pause").onclick = () => {
  paused = !paused;
  put($("pause"), paused ? "Resume" : "Pause");
  if (paused) clearTimeout(timer);
  else poll();
};
document.onvisibilitychange = () => paused || document.hidden || poll();
startLive();
startControl();
poll();
