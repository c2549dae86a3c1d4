// Plots as SVG at the width of their place, so that text has one size everywhere. Drawn when they come into view.

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      seen.unobserve(entry.target);
      entry.target.wake();
    }
  }
}, {rootMargin: "400px"});
const resized = new ResizeObserver((entries) => entries.forEach((entry) => entry.target.redraw()));
/** Calls `action` once, when the element comes near the window or the page is printed. */
function whenSeen(element, action) {
  let isDone = false;
  element.wake = () => { if (!isDone) { isDone = true; action(); } };
  addEventListener("beforeprint", element.wake);
  seen.observe(element);
}

/** A plot with title, legend, values under the pointer, and its numbers as a table. `draw(width, say)` returns an SVG. */
function plot({title, note, legend, draw, numbers, isLive, isStill}) {
  const place = html("div", {class: "plot"});
  const readout = html("p", {class: "readout muted", "aria-hidden": "true"});
  const table = html("details", {toggle: () => {
    if (!table.open) return;
    const {heads, rows} = numbers();
    table.replaceChildren(table.firstChild, html("div", {class: "scroll"}, plainTable(heads, rows)));
  }}, html("summary", null, "Numbers"));
  let width = 0;
  const render = () => place.replaceChildren(draw(Math.max(width, 240), (text) => { readout.textContent = text; }));
  place.redraw = () => {
    const now = Math.round(place.clientWidth);
    if (now && now !== width) { width = now; render(); }
  };
  whenSeen(place, () => { place.redraw(); resized.observe(place); if (isLive) watch(() => width && render()); });
  const keys = (legend || []).map(([style, name]) => html("span", {class: style}, html("i"), html("b", null, name)));
  return html("figure", null, html("figcaption", null, title, note ? html("small", null, note) : null),
    keys.length ? html("div", {class: "legend"}, keys) : null, place, isStill ? null : readout, numbers ? table : null);
}

/** Round values between two limits. */
function ticksBetween(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) ticks.push(Number((k * step).toPrecision(9)));
  return ticks;
}

/** Curves over a common axis: series `{name, style, xs, ys, isDashed, hasPoints, sizes}`, marks `{x, text}`. */
function lineChart(width, say, {label, x, y, series, marks = [], height = 270}) {
  const left = 48, right = 12, top = 10, bottom = 38;
  const toX = (value) => left + (x.high > x.low ? (value - x.low) / (x.high - x.low) : 0.5) * (width - left - right);
  const toY = (value) => height - bottom - ((value - y.low) / (y.high - y.low || 1)) * (height - top - bottom);
  const root = svg("svg", {viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label});
  for (const tick of ticksBetween(y.low, y.high, 5)) {
    root.append(svg("line", {class: "grid", x1: left, x2: width - right, y1: toY(tick), y2: toY(tick)}),
      svg("text", {x: left - 6, y: toY(tick) + 4, "text-anchor": "end"}, short(tick)));
  }
  for (const tick of ticksBetween(x.low, x.high, Math.min(10, width / 55))) {
    if (x.isWhole && tick % 1) continue;
    root.append(svg("text", {x: toX(tick), y: height - bottom + 16, "text-anchor": "middle"}, short(tick)));
  }
  root.append(svg("line", {class: "grid", x1: left, x2: width - right, y1: toY(y.low), y2: toY(y.low)}),
    svg("text", {x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle"}, x.title));
  for (const {style, xs, ys, isDashed, hasPoints, sizes} of series) {
    const points = xs.map((value, k) => [value, ys[k], k]).filter(([a, b]) => isNumber(a) && isNumber(b));
    const path = points.map(([a, b], k) => `${k ? "L" : "M"}${toX(a).toFixed(1)} ${toY(b).toFixed(1)}`).join("");
    root.append(svg("path", {class: `curve ${style}${isDashed ? " dashed" : ""}`, d: path || "M0 0"}));
    if (hasPoints || points.length === 1) {
      points.forEach(([a, b, k]) => root.append(svg("circle", {class: style, cx: toX(a), cy: toY(b), r: sizes ? sizes[k] : 3})));
    }
  }
  for (const {x: value, text} of marks) {
    const isRight = toX(value) > width * 0.6;
    root.append(svg("line", {class: "mark", x1: toX(value), x2: toX(value), y1: top, y2: height - bottom}),
      svg("text", {class: "strong", x: toX(value) + (isRight ? -5 : 5), y: top + 10, "text-anchor": isRight ? "end" : "start"}, text));
  }
  followPointer(root, say, {x, series, toX, from: left, to: width - right, top, bottom: height - bottom});
  return root;
}

/** Shows the values of all series at the pointer. */
function followPointer(root, say, {x, series, toX, from, to, top, bottom}) {
  const guide = svg("line", {class: "guide", y1: top, y2: bottom, visibility: "hidden"});
  root.append(guide);
  root.addEventListener("pointerleave", () => { guide.setAttribute("visibility", "hidden"); say(""); });
  root.addEventListener("pointermove", (event) => {
    const frame = root.getBoundingClientRect();
    const at = ((event.clientX - frame.left) / frame.width) * root.viewBox.baseVal.width;
    const value = x.low + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (x.high - x.low);
    const parts = series.filter(({name}) => name).map(({name, xs, ys}) => {
      let best = -1;
      xs.forEach((own, k) => {
        if (isNumber(ys[k]) && (best < 0 || Math.abs(own - value) < Math.abs(xs[best] - value))) best = k;
      });
      return best < 0 ? null : {name, x: xs[best], y: ys[best]};
    }).filter(Boolean);
    if (!parts.length) return;
    guide.setAttribute("visibility", "visible");
    guide.setAttribute("x1", toX(parts[0].x));
    guide.setAttribute("x2", toX(parts[0].x));
    say(`${x.title} ${short(parts[0].x)}: ${parts.map((part) => `${part.name} ${short(part.y)}`).join(", ")}`);
  });
}

/** Width that texts need, about. */
const widthOf = (texts) => 6.9 * Math.max(0, ...texts.map((text) => text.length));

/** Horizontal bars: rows `{name, title, value, text, style, low, high}`. */
function barChart(width, {label, rows, high, format = share}) {
  const line = 25, values = rows.map(({value}) => format(value)), texts = rows.map(({text}) => text || "");
  const names = Math.min(widthOf(rows.map(({name}) => name)) + 10, width * 0.42);
  const notes = widthOf(values) + 8 + (texts.some(Boolean) ? widthOf(texts) + 8 : 0);
  const most = high ?? Math.max(...rows.map(({value}) => (isNumber(value) ? value : 0)), 1e-9);
  const room = Math.max(width - names - notes, 20);
  const root = svg("svg", {viewBox: `0 0 ${width} ${rows.length * line + 2}`, height: rows.length * line + 2, role: "img", "aria-label": label});
  rows.forEach((row, k) => {
    const y = k * line, length = isNumber(row.value) ? Math.max((row.value / most) * room, 0) : 0;
    root.append(
      svg("text", {class: "strong", x: names - 8, y: y + 16, "text-anchor": "end"}, shorten(row.name, Math.floor(names / 6.4)), svg("title", null, row.title || row.name)),
      svg("rect", {class: "empty", x: names, y: y + 3, width: room, height: line - 8, rx: 3}),
      svg("rect", {class: `bar ${row.style || ""}`, x: names, y: y + 3, width: length, height: line - 8, rx: 3}),
      svg("text", {class: "strong", x: names + room + 8 + widthOf(values), y: y + 16, "text-anchor": "end"}, values[k]),
      svg("text", {x: width, y: y + 16, "text-anchor": "end"}, texts[k]));
    if (isNumber(row.low) && isNumber(row.high)) {
      const [from, to] = [row.low, row.high].map((value) => names + (value / most) * room);
      root.append(svg("line", {class: "mark", x1: from, x2: to, y1: y + line / 2 - 1, y2: y + line / 2 - 1}));
    }
  });
  return root;
}

/** Counts of a matrix as shades of the share of their row: `cells` holds `[row, column, count]`. */
function matrixChart(width, say, {label, names, cells, rowTitle, columnTitle}) {
  const letters = Math.max(...names.map((name) => Math.min(name.length, 14)));
  const margin = Math.min(letters * 6.6 + 14, width * 0.28), lean = margin * 0.45;
  const cell = Math.min((width - margin - lean) / names.length, 60), height = margin + cell * names.length + 2;
  const rowSums = names.map(() => 0);
  cells.forEach(([row, , value]) => { rowSums[row] += value; });
  const root = svg("svg", {viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label});
  const step = Math.max(1, Math.ceil(13 / cell));
  names.forEach((name, k) => {
    const middle = margin + (k + 0.5) * cell, shown = shorten(name, Math.floor((margin - 8) / 6.4));
    root.append(svg("rect", {class: "empty", x: margin, y: margin + k * cell, width: cell * names.length, height: Math.max(cell - 1, 0.5)}));
    if (k % step) return;
    root.append(svg("text", {class: "strong", x: margin - 6, y: middle + 4, "text-anchor": "end"}, shown, svg("title", null, name)),
      svg("text", {class: "strong", transform: `translate(${middle + 2} ${margin - 6}) rotate(-60)`}, shown, svg("title", null, name)));
  });
  for (const [row, column, value] of cells) {
    const x = margin + column * cell, y = margin + row * cell, part = value / rowSums[row];
    root.append(svg("rect", {
      class: `heat${row === column ? "" : " wrong"}`, x, y, width: Math.max(cell - 1, 0.5), height: Math.max(cell - 1, 0.5),
      "fill-opacity": (0.1 + 0.75 * part).toFixed(3),
      pointerenter: () => say(`${rowTitle} ${names[row]}, ${columnTitle} ${names[column]}: ${count(value)}, ${percent(part)} of the row`),
    }));
    if (cell > 28) root.append(svg("text", {class: "strong", x: x + cell / 2, y: y + cell / 2 + 4, "text-anchor": "middle", "pointer-events": "none"}, count(value)));
  }
  return root;
}
