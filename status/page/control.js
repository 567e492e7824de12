// Closing tunnels, where the server lets this client do it.

let control;        // the path; null where nothing is to be offered
let tried;          // the path that was tried
let target;         // which tunnels the dialog is about
let action;         // the one under way
let turn = 0, pause;

async function steer(parameters, method = "POST") {
  const headers = method === "POST" ? { "X-WebSocket-Control": "1" } : {};
  const answer = await fetch(`${tried}?${new URLSearchParams(parameters)}`, { method, headers, cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `nginx answered ${answer.status}`);
  return body;
}

// Whether this client may: asked by what changes nothing.
async function findControl(path) {
  if (path === tried) return;
  tried = path;
  control = path && await steer({ older: 0, dry_run: 1 }).then(() => path, () => null);
}

function closeCell(cell, { id, action, own_loop, ...row }) {
  const text = action !== null ? "closing" : own_loop ? "own loop" : "";
  if (text || !control) return put(cell, text);
  if (cell.firstElementChild) return;
  const open = () => openDialog({ id }, `Tunnel ${id}, of ${visible(row.client)} to ${link(row)}`);
  cell.replaceChildren(button("Close…", open, { ariaLabel: `Close tunnel ${id}…` }));
}

function openDialog(criteria, text) {
  target = criteria;
  put($("what"), text);
  for (const field of $("dialog").querySelectorAll(".many")) field.hidden = "id" in criteria;
  $("idle").value = $("older").value = "";
  $("over").value = "id" in criteria ? "0s" : "10s";
  $("dialog").showModal();
  count();
}

// What the dialog says, as parameters.
function wanted() {
  const said = { ...target };
  for (const key of ["idle", "older", "over", "code", "reason"]) if ($(key).value.trim()) said[key] = $(key).value.trim();
  if (!filters().length && !said.id && !said.idle) said.older ||= "0";
  return said;
}

// Says how many it would be.
async function count() {
  const mine = ++turn;
  $("confirm").disabled = true;
  const [text, matched] = await steer({ ...wanted(), dry_run: 1 }).then(({ matched, over }) =>
    [matched ? `This closes ${many(matched, "tunnel")}, ${over ? `each at a random moment within ${span(over)}` : "at once"}, with a Close frame to both sides.` : "No live tunnel is like that.", matched],
  ({ message }) => [visible(message), 0]);
  if (mine !== turn) return;
  put($("count"), text);
  put($("confirm"), `Close ${many(matched, "tunnel")}`);
  $("confirm").disabled = !matched;
}

async function act() {
  try {
    action = await steer(wanted());
    $("dialog").close();
    poll();
  } catch ({ message }) {
    put($("count"), visible(message));
  }
}

// Says how far it is.
async function follow() {
  if (!action) return;
  try {
    const { matched, open, done } = await steer({ action: action.action }, "GET");
    put($("problem"), done ? `${many(matched, "tunnel was", "tunnels were")} closed.` : `Closing ${many(matched, "tunnel")}, of which ${number(open)} ${open === 1 ? "is" : "are"} open.`);
    if (done) action = null;
  } catch ({ message }) {
    put($("problem"), visible(message));
    action = null;
  }
}

function startControl() {
  $("closing").oninput = () => {
    turn++;
    $("confirm").disabled = true;
    clearTimeout(pause);
    pause = setTimeout(count, 300);
  };
  $("close-all").onclick = () => openDialog(Object.fromEntries(filters()),
    filters().length ? `Live tunnels with ${filters().map(([key, value]) => `${key} ${visible(value)}`).join(", ")}` : "All live tunnels");
  $("cancel").onclick = () => $("dialog").close();
  $("closing").onsubmit = () => ($("confirm").disabled || act(), false);
}
