// The tables, from top to bottom.

const RECENT = `Last ${span(WINDOW)}`;
const link = ({ server, uri }) => visible(server + uri);
const inOut = (in_, out, write, between = ", ") => `in ${write(in_)}${between}out ${write(out)}`;
const amounts = (of, write) => ({ from_client, from_upstream }) => inOut(from_client[of], from_upstream[of], write, "\n");
const share = (part, all, more) => [number(part), part ? more || percent(part, all) : ""];
const failedOf = (part, all, [cause]) => share(part, all, cause && `${percent(part, all)}, ${cause[0]}`);
const allCauses = ({ rejected, failed }) => Object.entries(failed.causes).reduce(
  (all, [cause, count]) => ({ ...all, [cause]: (all[cause] || 0) + count }), rejected.causes);
const numeric = (title, key) => [title, "number", (row) => number(row[key])];
const byTime = ["Time", "", ({ time }) => clock(time)];
const byClient = ["Client", "code", ({ client }) => visible(client)];
// With the label, unless that is the address.
const byAddress = ["Address", "text code", (row) => [...new Set([link(row), visible(row.label)])]];

const causeTable = new Table("causes", "Failed handshakes by cause, those that happen now first", [
  ["Cause", "", ({ cause, fault }) => [cause, fault]],
  numeric(RECENT, "recent"),
  ["In all", "number", ({ count, all }) => share(count, all)],
  ["What it means", "text", ({ meaning }) => meaning],
  ["What to do", "text", ({ advice }) => advice],
]);

const failureTable = new Table("failures", "Last failed handshakes, the newest first", [
  byTime, byClient, byAddress,
  ["Cause", "text", ({ cause, seen }) => [cause, visible(seen)]],
  ["What to do", "text", ({ advice }) => advice || ""],
]);

const endTable = new Table("ends", "Last ended tunnels, the newest first", [
  byTime, byClient, byAddress,
  ["Upstream", "code", ({ upstream }) => visible(upstream)],
  ["Ended", "text", ({ by, reason, code }) => [`by ${by}: ${reason} ${code || ""}`, ENDS[reason]]],
  ["Open for", "number", ({ duration }) => span(duration)],
  ["Messages", "number", amounts("messages", number)],
]);

const tunnelTable = new Table("tunnels", "Live tunnels", [
  ["Id", "", ({ id }) => String(id), "id"],
  ["Client", "code", ({ client, tls, http }) => [visible(client), `${tls ? "TLS, " : ""}HTTP/${http}`]],
  byAddress,
  ["Upstream", "code", ({ upstream, subprotocol }) => [visible(upstream), subprotocol && visible(subprotocol)]],
  ["Open for", "number", ({ age, begun }) => [span(age), `since ${clock(begun)}`], "age"],
  ["Idle", "number", ({ idle }) => span(idle), "idle"],
  ["Bytes", "number", amounts("bytes", bytes), "bytes"],
  ["Messages", "number", amounts("messages", number), "messages"],
  ["Ping", "number", ({ rtt }) => rtt === null ? "–" : span(rtt), "rtt"],
  ["Waiting", "number", ({ waiting_for_client: client, waiting_for_upstream: upstream }) =>
    client + upstream ? [bytes(client + upstream), `for the ${upstream > client ? "upstream" : "client"}`] : "–", "waiting"],
  ["", "", 0, 0, closeCell],
]);

const labelTable = new Table("labels", "By label, the most tunnels first", [
  ["Label", "text code", ({ label }) => visible(label)],
  numeric("Open", "active"),
  numeric("Established", "established"),
  ["Failed", "number", ({ failures, established, causes }) => failedOf(failures, failures + established, causes)],
  ["Bytes", "number", amounts("bytes", bytes)],
]);

const upstreamTable = new Table("upstreams", "By upstream, those that fail first", [
  ["Upstream", "code", ({ upstream }) => visible(upstream)],
  [RECENT, "", 0, 0, (cell, { level, text }) => cell.firstChild?.textContent === text || cell.replaceChildren(make("span", { className: `mark ${level}`, textContent: text }))],
  numeric("Open", "active"),
  numeric("Established", "established"),
  ["Failed", "number", ({ failed: { total, causes }, established }) => failedOf(total, total + established, ranked(causes))],
]);

const closeTable = new Table("closes", "How tunnels ended, the most frequent first", [
  ["Ended", "text", ({ by, reason }) => [`by ${by}: ${reason}`, ENDS[reason]]],
  ["Close code", "number", ({ code }) => code],
  ["Tunnels", "number", ({ count, all }) => share(count, all)],
]);

function showTables({ totals, causes, failures, labels, upstreams }) {
  const lately = Object.fromEntries(failedLately(samples.at(-1), failures));
  const counts = ranked(allCauses(totals)), all = totals.rejected.total + totals.failed.total;
  const list = counts.map(([cause, count]) => ({ cause, count, all, recent: lately[cause] || 0, ...causes[cause] }));
  causeTable.show(list.sort((a, b) => b.recent - a.recent), ({ cause }) => cause, "No handshake has failed.");

  const ended = totals.closes.reduce((all, { count }) => all + count, 0);
  const closes = totals.closes.map((close) => ({ ...close, all: ended })).sort((a, b) => b.count - a.count);
  closeTable.show(closes, ({ by, reason, code }) => `${by} ${reason} ${code}`, "No tunnel has ended.");

  const rows = labels.filter(({ counters }) => counters.attempts).map(({ label, counters }) => ({ label, ...counters, failures: counters.rejected.total + counters.failed.total, causes: ranked(allCauses(counters)) }));
  labelTable.show(rows.sort((a, b) => b.active - a.active), ({ label }) => label, "Nothing was counted.");
  choices("label", labels.map(({ label }) => label));

  const judged = upstreams.map((upstream) => {
    const [failed, well] = atUpstream(upstream.upstream);
    const level = failed > well ? "bad" : failed ? "warn" : well ? "ok" : "none";
    return { ...upstream, level, text: failed ? `${number(failed)} of ${number(failed + well)} failed` : well ? `${number(well)} succeeded` : "no handshake" };
  });
  const worst = ({ level }) => ["bad", "warn", "ok", "none"].indexOf(level);
  upstreamTable.show(judged.sort((a, b) => worst(a) - worst(b) || b.active - a.active), ({ upstream }) => upstream, "No upstream was asked.");
  choices("upstream", upstreams.map(({ upstream }) => upstream));
}

// The end of the bucket of a histogram that a share of all is within.
function within({ bounds, counts, count }, share) {
  let below = 0;
  const at = counts.findIndex((here) => (below += here) >= count * share);
  return at < bounds.length ? `up to ${span(bounds[at])}` : `over ${span(bounds.at(-1))}`;
}

const times = (histogram) => histogram.count ? `${within(histogram, 0.5)} for half, ${within(histogram, 0.99)} for 99 %` : "–";

function showFacts({ zone, totals, nginx, module }) {
  const { from_client, from_upstream } = totals;
  const facts = {
    "Since": clock(zone.since),
    "Handshakes": `${number(totals.attempts)}, of which ${number(totals.established)} succeeded`,
    "Handshake time": times(totals.handshake),
    "Ping round trip": times(totals.rtt),
    "Pings": `${number(totals.pings_sent)}, of which ${number(totals.pings_lost)} were not answered`,
    "Tunnels were open": times(totals.duration),
    "Bytes": inOut(from_client.bytes, from_upstream.bytes, bytes),
    "Messages": inOut(from_client.messages, from_upstream.messages, number),
    "Drained": number(totals.drained),
    "In nginx's own loop": number(totals.own_loop),
    "Buffers in use": number(zone.buffers_lent),
  };
  const list = $("facts").querySelector("dl") || $("facts").appendChild(make("dl"));
  if (!list.firstChild) list.append(...Object.keys(facts).map((name) => make("div", {}, make("dt", {}, name), make("dd"))));
  Object.values(facts).forEach((text, at) => put(list.children[at].lastChild, text));
  put($("about"), `nginx ${nginx}, module ${module}, ${many(zone.workers, "worker")}, zone ${zone.name}`);
}
