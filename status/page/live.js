// The live tunnels: which are asked for, in what order.

const ROWS = 25;
const SORTS = { id: "id", age: "age", idle: "idle time", bytes: "bytes", messages: "messages", rtt: "ping round trip", waiting: "bytes waiting" };

// What is shown; kept in the address, so that it can be passed on.
const view = { sort: "id", offset: 0, client: "", label: "", upstream: "" };
// What nginx last understood.
let good = { ...view };

const filters = () => ["client", "label", "upstream"].filter((key) => view[key]).map((key) => [key, view[key]]);

function change(changes) {
  Object.assign(view, { offset: 0 }, changes);
  put($("problem"), "");
  fillForm();
  poll();
}

function fillForm() {
  for (const key of ["client", "label", "upstream", "sort"]) {
    choices(key, []);
    $(key).value = view[key];
  }
  tunnelTable.heads.forEach((head, at) => {
    const sort = tunnelTable.columns[at][3];
    set(head, "aria-sort", sort !== view.sort ? null : sort === "id" ? "ascending" : "descending");
  });
}

// The options of a select, behind "all"; what is chosen is always among them.
function choices(id, values) {
  const select = $(id), have = [...select.options || []].map(({ value }) => value);
  for (const value of [...values, view[id]])
    if (select.options && !have.includes(value)) {
      have.push(value);
      select.append(make("option", { value }, visible(value)));
    }
}

function showTunnels({ tunnels: { matched, list }, totals, zone }) {
  // Those of the last page have ended: another is the last.
  if (view.offset && view.offset >= matched) return change({ offset: Math.max(0, Math.ceil(matched / ROWS) - 1) * ROWS });
  good = { ...view };
  const said = new URLSearchParams(filters()), filtered = said.size;
  if (view.sort !== "id") said.set("sort", view.sort);
  if (view.offset) said.set("offset", view.offset);
  history.replaceState(samples, "", location.pathname + location.search + (said.size ? `#${said}` : ""));

  tunnelTable.show(list, ({ id }) => String(id), filtered ? "No live tunnel is like that." : "No tunnel is open.");
  const unlisted = filtered ? 0 : totals.active - matched;
  put($("shown"), matched ? `${number(view.offset + 1)}–${number(view.offset + list.length)} of ${many(matched, "tunnel")}, by ${SORTS[view.sort]}`
    + (totals.unlisted && unlisted > 0 ? `; about ${number(unlisted)} more found no room in the zone, which lists ${number(zone.room)}` : "") : "");
  $("previous").disabled = !view.offset;
  $("next").disabled = view.offset + list.length >= matched;
  $("paging").hidden = !matched;
  $("filter").hidden = !matched && !filtered;
  $("close-all").hidden = !control || !matched;
  put($("close-all"), `Close ${filtered ? "these" : "all"} ${number(matched)}…`);
}

function startLive() {
  $("tunnels").append($("paging"));
  tunnelTable.columns.forEach(([title, , , sort], at) => sort && tunnelTable.heads[at].replaceChildren(button(title, () => change({ sort }))));
  $("sort").append(...Object.entries(SORTS).map(([value, text]) => make("option", { value }, text)));
  for (const key of ["label", "upstream", "sort"]) $(key).onchange = () => change({ [key]: $(key).value });
  $("filter").onsubmit = () => (change({ client: $("client").value.trim() }), false);
  $("filter").onreset = () => (change({ client: "", label: "", upstream: "" }), false);
  $("previous").onclick = () => change({ offset: Math.max(0, view.offset - ROWS) });
  $("next").onclick = () => change({ offset: view.offset + ROWS });
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key in view) view[key] = value;
  view.offset = Number(view.offset) || 0;
  if (!(view.sort in SORTS)) view.sort = "id";
  fillForm();
}
