// Charts: lines over the last minutes, with their content in words for whoever doesn't see them.

const WIDE = 600, HIGH = 100;

function draw(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  return node;
}

// The next round number: 1, 2 or 5 times a power of 10, for bytes in units of 1024.
function above(n, base) {
  let unit = 1;
  while (base > 10 && unit * 500 < n) unit *= base;
  const size = unit * 10 ** Math.floor(Math.log10(n / unit));
  return size * [1, 2, 5, 10].find((step) => step * size >= n);
}

class Chart {
  // names: the lines', with the class of each; write: how a value is written.
  constructor(id, names, write, base = 10, least = 1) {
    Object.assign(this, { names, write, base, least });
    this.svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" });
    this.most = make("small", { className: "most", ariaHidden: "true" });
    this.paths = Object.values(names).map((ink) => ["area", "line"].map((kind) => this.svg.appendChild(draw("path", { class: `${kind} ${ink}` }))));
    this.cursor = this.svg.appendChild(draw("line", { y2: HIGH }));
    this.axis = make("small");
    $(id).append(this.svg, this.most, make("div", { className: "row", ariaHidden: "true" }, this.axis, make("small", { className: "now" }, "now")));
    $(id).onpointermove = ({ clientX }) => {
      const { left, width } = this.svg.getBoundingClientRect();
      this.point((clientX - left) / width);
    };
    $(id).onpointerleave = () => this.point();
  }

  // series: for each line its [time, value] pairs; now: the right edge.
  draw(series, now) {
    const time = Math.min(WINDOW, Math.max(60, covered()));
    Object.assign(this, { series, now, time });
    const top = above(Math.max(this.least, ...series.flat().map(([, value]) => value)), this.base);
    const x = (time) => (WIDE * (1 - (now - time) / this.time)).toFixed(1);
    series.forEach((points, at) => {
      const line = points.map(([time, value]) => `${x(time)} ${(HIGH - HIGH * value / top).toFixed(1)}`).join("L");
      this.paths[at].forEach((path, stroke) => set(path, "d", !points.length ? "" : stroke ? `M${line}` : `M${x(points[0][0])} ${HIGH}L${line}L${WIDE} ${HIGH}`));
    });
    put(this.most, this.write(top));
    const words = Object.keys(this.names).map((name, at) => {
      const values = series[at].map(([, value]) => value);
      return ` ${name}: ${values.length ? `${this.write(values.at(-1))} now, ${this.write(Math.max(...values))} at most` : "nothing yet"}.`;
    });
    set(this.svg, "aria-label", `The last ${span(time)}.${words.join("")}`);
    this.point(this.at);
  }

  // Writes what the pointer is at: the moment, and the values.
  point(at) {
    const time = this.now - this.time * (1 - at);
    const index = this.series ? this.series[0].findIndex(([end]) => end >= time) : -1;
    this.at = index < 0 ? undefined : at;
    set(this.cursor, "visibility", index < 0 ? "hidden" : "visible");
    if (index < 0) return put(this.axis, `${span(this.time)} ago`);
    set(this.cursor, "x1", String(WIDE * at));
    set(this.cursor, "x2", String(WIDE * at));
    put(this.axis, `${clock(time)}:${Object.keys(this.names).map((name, line) => ` ${this.write(this.series[line][index][1])} ${name}`)}`);
  }
}
