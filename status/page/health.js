// The verdict: whether WebSocket is healthy here, in words.

const ENDS = {
  "protocol-error": "the other side broke the protocol",
  "unsupported-data": "the other side sent what is not accepted",
  "invalid-payload": "the other side sent what is not of its type",
  "policy-violation": "the other side broke a rule of the application",
  "mandatory-extension": "the upstream lacks an extension the client needs",
  "internal-error": "this side failed: see its own log",
  "bad-gateway": "no valid answer came from behind it",
  "no-close-frame": "without a Close frame",
  "reset": "the connection broke",
  "idle-timeout": "nothing moved; websocket_ping keeps quiet tunnels open",
  "send-timeout": "a side took nothing",
  "ping-timeout": "a side did not answer a ping",
  "message-timeout": "no message went by",
  "lifetime": "it reached websocket_max_lifetime",
  "message-too-big": "a message was too large",
  "message-rate": "messages came too fast",
  "rate": "its client left too much behind",
  "drain": "its worker was to exit",
  "upstream-drain": "its server left the configuration",
  "worker-shutdown": "its worker waited no longer",
  "worker-died": "its worker was killed or crashed: see the error log",
  "control": "it was closed by request",
  "error": "nginx could not go on: see the error log",
};
// Those that are nobody's wish.
const CUTS = /error|gateway|rate|^message|^(idle|send|ping)-|^worker/;

const SIGNS = { ok: "M7 12.5l3.5 3.5L17 9", warn: "M12 6.5v7M12 17.3v.1", bad: "M8 8l8 8M16 8l-8 8", none: "M7.5 12h9" };

const sum = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);
const ranked = (counts) => Object.entries(counts).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);

// How much each of a sample's counts has grown, the most first.
const grownCounts = (of) => ranked(Object.fromEntries(Object.keys(of(samples.at(-1)))
  .map((name) => [name, grown((sample) => of(sample)[name] || 0)])));

// Of which causes handshakes failed lately, the most frequent first: at first only the ring can tell.
function failedLately({ now }, failures) {
  if (covered() >= ENOUGH) return grownCounts(({ causes }) => causes);
  const fresh = {};
  for (const { time, cause } of failures) if (time > now - WINDOW) fresh[cause] = (fresh[cause] || 0) + 1;
  return ranked(fresh);
}

// What the answer says of now; `failures` are the last ones, `causes` tells fault, meaning and advice.
function judge(sample, { causes, failures }) {
  const early = covered() < ENOUGH, recent = failedLately(sample, failures);
  const theirs = ([cause]) => causes[cause]?.fault === "client";
  const count = (list) => list.reduce((all, [, count]) => all + count, 0);
  const serious = recent.filter((entry) => !theirs(entry)), failed = count(serious), refused = count(recent) - failed;
  const established = early ? sample.established * Math.min(1, WINDOW / (sample.now - sample.started + 1)) : grown(({ established }) => established);

  let level = sample.attempts ? "ok" : "none", title = sample.attempts ? "WebSocket is healthy" : "No WebSocket handshake yet";
  const concerns = [];
  const worry = (what, text, otherwise) => {
    if (level === "ok") [level, title] = ["warn", otherwise];
    concerns.push([what, text]);
  };
  if (failed > 2 && failed >= established) [level, title] = ["bad", established < 1 ? "Every handshake fails" : "Most handshakes fail"];
  else if (failed >= established / 100 && failed) [level, title] = ["warn", failed === 1 ? "A handshake failed" : "Some handshakes fail"];
  else if (refused > 2 && refused >= established) [level, title] = ["warn", "Most clients are turned away"];
  if (level !== "ok")
    for (const [cause, count] of (failed ? serious : recent).slice(0, 3)) {
      const { meaning = "", advice = "see docs/causes.md" } = causes[cause] || {};
      concerns.push([cause, `, ${many(count, "time")} in the last ${span(early ? WINDOW : covered())}: ${meaning} What to do: ${advice}.`]);
    }
  for (const [address, failed] of grownCounts(({ failedAt }) => failedAt)) {
    const well = atUpstream(address)[1];
    if (failed > 2 && failed >= well) worry(visible(address), ` failed ${number(failed)} of the ${number(failed + well)} handshakes that it got.`, "An upstream fails");
  }
  const ends = grownCounts(({ ends }) => ends), ended = count(ends);
  for (const [reason, count] of ends)
    if (CUTS.test(reason) && (reason === "worker-died" || count > 4 && count >= ended / 2))
      worry(reason, ` ended ${number(count)} of ${many(ended, "tunnel")}: ${ENDS[reason]}.`, reason === "worker-died" ? "A worker died" : "Tunnels are cut");
  return [level, title, because(sample, early), concerns];
}

// What there is, and how handshakes went.
function because(sample, early) {
  const since = `since ${clock(sample.started)}`;
  if (!sample.attempts) return `Nothing came ${since}. A location carries WebSocket with "websocket on"; what comes is shown here at once.`;
  const period = early ? since : `in the last ${span(covered())}`;
  const of = (what) => early ? what(sample) : grown(what);
  const failed = of(({ causes }) => sum(causes)), all = failed + of(({ established }) => established);
  return `${sample.active ? many(sample.active, "tunnel is", "tunnels are") : "No tunnel is"} open. ` + (
    !all ? `No handshake came ${period}.`
      : failed ? `Of ${many(all, "handshake")} ${period}, ${number(failed)} failed (${percent(failed, all)}).`
        : `${all === 1 ? "The one handshake" : `All ${number(all)} handshakes`} ${period} succeeded.`);
}

function showHealth(level, title, because, concerns = []) {
  $("health").className = level;
  set($("sign"), "d", SIGNS[level]);
  put($("verdict"), title);
  put($("because"), because);
  const list = $("concerns");
  if (list.textContent !== concerns.flat().join(""))
    list.replaceChildren(...concerns.map(([what, text]) => make("li", {}, make("code", {}, what), text)));
  put($("spoken"), title);
  document.title = `${title} – ${location.host}`;
  const ink = { ok: "137a3f", warn: "c77700", bad: "c62828", none: "667788" }[level];
  set($("icon"), "href", `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><circle cx='12' cy='12' r='11' fill='%23${ink}'/></svg>`);
}
