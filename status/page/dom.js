// Nodes and tables. Only what changed is written, so that a selection, the focus and a screen
// reader's place in a table outlive the next answer.

const $ = (id) => document.getElementById(id);

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function set(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function make(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const button = (textContent, onclick, more) => make("button", { textContent, onclick, ...more });

// A table in the section `id`. A column: its title; its class; what stands in a row's cell, as a text or
// as [text, smaller text], or a function that fills the cell; what it sorts by. The first column is each
// row's header.
class Table {
  constructor(id, caption, columns) {
    this.columns = columns;
    this.rows = new Map();
    // Narrow screens lay rows out as blocks; for a screen reader it is a table all the same.
    this.body = make("tbody", { role: "rowgroup" });
    this.heads = columns.map(([title, kind]) => make("th", { role: "columnheader", scope: "col", className: kind }, title));
    const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...this.heads));
    this.wide = make("div", { className: "wide" }, make("table", { role: "table" },
      make("caption", { className: "sr" }, caption), head, this.body));
    this.empty = make("p", { className: "empty" });
    $(id).append(this.wide, this.empty);
  }

  show(list, key, empty) {
    const focus = document.activeElement, names = new Set(list.map(key));
    for (const [name, row] of this.rows)
      if (!names.has(name)) {
        row.remove();
        this.rows.delete(name);
      }
    let next = this.body.firstChild;
    for (const item of list) {
      const name = key(item);
      if (!this.rows.has(name)) this.rows.set(name, this.row());
      const row = this.rows.get(name);
      if (row === next) next = next.nextSibling;
      else this.body.insertBefore(row, next);
      this.columns.forEach(([, , content, , fill], at) => fill ? fill(row.cells[at], item) : this.cell(row.cells[at], content(item)));
    }
    // A row that was moved has lost the focus.
    if (focus.isConnected && focus !== document.activeElement) focus.focus({ preventScroll: true });
    this.wide.hidden = !list.length;
    put(this.empty, list.length ? "" : empty);
  }

  row() {
    return make("tr", { role: "row" }, ...this.columns.map(([title, className], at) => {
      const cell = at ? make("td", { role: "cell", className }) : make("th", { role: "rowheader", scope: "row", className });
      cell.dataset.title = title;
      return cell;
    }));
  }

  cell(cell, content) {
    const [text, more] = [content].flat();
    const small = cell.querySelector("small");
    if (!more) return put(cell, text);
    if (!small) return cell.replaceChildren(make("span", {}, text), make("small", {}, more));
    put(cell.firstChild, text);
    put(small, more);
  }
}
