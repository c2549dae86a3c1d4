// Tables: plain ones, and those with sortable columns and a filter.

/** A table of texts; the cells of the first column are the rows' heads. */
function plainTable(heads, rows) {
  return html("table", null,
    html("thead", null, html("tr", null, heads.map((head) => html("th", {scope: "col"}, head)))),
    html("tbody", null, rows.map((row) => html("tr", null, row.map((cell, k) => (k
      ? html("td", null, typeof cell === "number" ? short(cell) : cell)
      : html("th", {scope: "row"}, typeof cell === "number" ? short(cell) : cell)))))));
}

/**
 * A table whose heads sort it. Columns: `{title, meaning, kind, value(row)}`; `head(row)` makes the first cell, of
 * which `nameOfRow(row)` is the text. Returns `{table, refresh(), filter(text)}`.
 */
function sortableTable({first, columns, rows, head, nameOfRow, isChosen, start, isInOrder}) {
  let order = start || {column: -1, isDescending: false};
  const lines = rows.map((row) => {
    const cells = columns.map((column) => html("td", {class: column.kind === "share" ? "share" : null}));
    return {row, cells, line: html("tr", null, html("th", {scope: "row"}, head(row)), cells)};
  });
  const body = html("tbody");
  const collator = new Intl.Collator("en", {numeric: true});
  const sort = () => {
    const sign = order.isDescending ? -1 : 1;
    const valueOf = ({row}) => (order.column < 0 ? nameOfRow(row) : columns[order.column].value(row));
    const sorted = lines.map((line, k) => [line, valueOf(line), k]).sort(([, a, i], [, b, j]) => {
      if (order.column < 0) return sign * collator.compare(a, b);
      if (!isNumber(a) || !isNumber(b)) return isNumber(b) - isNumber(a) || i - j;  // rows without a value stay below
      return sign * (a - b) || i - j;
    });
    body.append(...sorted.map(([{line}]) => line));
    heads.forEach((cell, k) => {
      if (k - 1 === order.column) cell.setAttribute("aria-sort", order.isDescending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  const choose = (column) => {
    const isSame = order.column === column;
    order = {column, isDescending: isSame ? !order.isDescending : column >= 0};
    sort();
  };
  const heads = [{title: first, meaning: "sort by name"}, ...columns].map(({title, meaning}, k) => html("th", {scope: "col", title: meaning},
    html("button", {type: "button", click: () => choose(k - 1)}, title)));
  const refresh = () => {
    for (const {row, cells, line} of lines) {
      line.classList.toggle("chosen", Boolean(isChosen && isChosen(row)));
      columns.forEach((column, k) => {
        const value = column.value(row), text = (FORMATS[column.kind] || short)(value);
        if (cells[k].textContent !== text) cells[k].textContent = text;
        if (column.kind === "share") cells[k].style.setProperty("--share", isNumber(value) ? Math.min(Math.max(value, 0), 1) : 0);
        if (column.kind === "change" && isNumber(value)) cells[k].className = value > 0 ? "better" : value < 0 ? "worse" : "";
      });
    }
  };
  const filter = (text) => {
    const wanted = text.trim().toLowerCase();
    lines.forEach(({row, line}) => { line.hidden = !nameOfRow(row).toLowerCase().includes(wanted); });
  };
  refresh();
  if (isInOrder) body.append(...lines.map(({line}) => line));
  else sort();
  return {table: html("table", null, html("thead", null, html("tr", null, heads)), body), refresh, filter};
}

/** The table of classes, with the numbers at the chosen threshold. */
function classTable() {
  const columns = DATA.classes.columns.map((column) => ({...column, value: (k) => column.values[k]}));
  if (DATA.curves) {
    const live = [["precision", "share of the detections that are right, at the chosen score threshold"],
      ["recall", "share of the boxes that are found, at the chosen score threshold"],
      ["F1", "harmonic mean of the two, at the chosen score threshold"]];
    columns.push(...live.map(([title, meaning]) => ({title, meaning, kind: "share", value: (k) => countsOf(k)[title.toLowerCase()]})));
  }
  const main = columns.findIndex(({kind}) => kind === "share");
  const {table, refresh, filter} = sortableTable({
    first: "class", columns, rows: NAMES.map((_, k) => k), nameOfRow: (k) => NAMES[k], isChosen: (k) => k === state.label,
    start: {column: main, isDescending: false},
    head: (k) => html("button", {type: "button", class: "link", title: "show this class in the plots and pictures",
      click: () => change({label: state.label === k ? ALL : k})}, NAMES[k]),
  });
  watch(refresh);
  const search = html("input", {type: "search", id: "class-filter", placeholder: "part of a name", input: () => filter(search.value)});
  return [
    html("div", {class: "tools"}, html("label", null, "Filter", search), DATA.curves ? thresholdSlider("table-score") : null),
    html("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "numbers of each class"}, table),
  ];
}
