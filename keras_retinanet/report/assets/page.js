// The sections of the page, in the order of the questions they answer. A section whose numbers are missing is left out.

const SERIES = (k) => `c${k % 7}`;
const sections = [];
/** Adds a section: `content(section)` fills it. */
function section(id, title, lead, content) {
  const node = html("section", {id, "aria-labelledby": `${id}-title`}, html("h2", {id: `${id}-title`}, title), lead ? html("p", {class: "muted"}, lead) : null);
  document.querySelector("main").append(node);
  sections.push({id, title, node});
  content(node);
}

function drawTop() {
  const numbers = DATA.headline.map(({name, value, meaning, comparable, isMain, low, high}) => html("div", {class: `number${isMain ? " main" : ""}`},
    html("span", {class: "name"}, name), html("b", null, share(value)),
    isNumber(low) ? html("span", null, `${share(low)} … ${share(high)}, 95 % interval`) : null,
    html("span", null, meaning), comparable ? html("span", null, `comparable with ${comparable}`) : null));
  const rows = DATA.numbers.map(({name, value, meaning, comparable}) => html("tr", null, html("th", {scope: "row"}, name),
    html("td", null, share(value)), html("td", {class: "words"}, meaning), html("td", {class: "words"}, comparable || "own extension")));
  const heads = ["number", "value", "meaning", "comparable with"].map((head, k) => html("th", {scope: "col", class: k > 1 ? "words" : null}, head));
  fill(document.getElementById("top"), null, [html("h1", null, DATA.title), html("p", {class: "muted"}, DATA.subtitle),
    html("div", {class: "headline"}, numbers),
    html("details", {class: "all-numbers"}, html("summary", null, `All ${rows.length} numbers, and what they are comparable with`),
      html("div", {class: "scroll"}, html("table", null, html("thead", null, html("tr", null, heads)), html("tbody", null, rows)))),
    DATA.notes.length ? html("ul", {class: "notes"}, DATA.notes.map((note) => html("li", null, note))) : null]);
}

function drawAdvice() {
  if (!DATA.advice.length) return;
  section("next", "What to do next", "Derived from the numbers below, the most promising first.", (node) => node.append(
    html("ol", {class: "advice"}, DATA.advice.map(({text, section: to}) => html("li", null, text, to ? [" ", html("a", {href: `#${to}`}, "See the numbers.")] : null)))));
}

function drawThreshold() {
  if (!DATA.curves) return;
  const {thresholds, groups, iou, recalls} = DATA.curves;
  const lead = `Which detections to keep. A detection is right if its IoU with a box of its class is at least ${iou}.`;
  section("threshold", "Score threshold", lead, (node) => {
    const counts = html("div", {class: "counts", role: "status"});
    watch(() => {
      const total = countsOf(state.label);
      const parts = [["precision", share(total.precision)], ["recall", share(total.recall)], ["F1", share(total.f1)],
        ["right detections", count(total.hits)], ["wrong detections", count(total.wrong)], ["missed boxes", count(total.missed)]];
      counts.replaceChildren(...parts.map(([name, value]) => html("div", null, html("b", null, value), html("span", null, name))));
    });
    const group = () => groups[state.label + 1];
    const rates = ({hits, wrong, boxes}) => thresholds.map((_, k) => ({
      precision: hits[k] + wrong[k] ? hits[k] / (hits[k] + wrong[k]) : null, recall: boxes ? hits[k] / boxes : null,
      f1: boxes ? (2 * hits[k]) / (hits[k] + wrong[k] + boxes) : null,
    }));
    const marksAt = () => (state.isByClass && state.label === ALL ? [] : [{x: state.label === ALL ? state.threshold : thresholdOf(state.label), text: "threshold"}]);
    const operatingPoint = () => {
      const {recall} = countsOf(state.label);
      return isNumber(recall) ? [{x: recall, text: "threshold"}] : [];
    };
    node.append(
      html("div", {class: "tools"}, thresholdSlider("score"), byClassSwitch(), classChoice()), counts,
      html("div", {class: "plots"},
        plot({title: "Precision, recall and F1 against score", isLive: true,
          legend: [["c0", "precision"], ["c1", "recall"], ["c2", "F1"]],
          numbers: () => ({heads: ["score", "right", "wrong", "precision", "recall", "F1"],
            rows: rates(group()).map((rate, k) => [thresholds[k].toFixed(2), count(group().hits[k]), count(group().wrong[k]), share(rate.precision), share(rate.recall), share(rate.f1)])}),
          draw: (width, say) => {
            const values = rates(group());
            return lineChart(width, say, {label: `Precision, recall and F1 of ${nameOf(state.label)} against the score threshold`,
              x: {low: 0, high: 1, title: "score"}, y: {low: 0, high: 1}, marks: marksAt(),
              series: ["precision", "recall", "f1"].map((name, k) => ({name, style: SERIES(k), xs: thresholds, ys: values.map((value) => value[name])}))});
          }}),
        plot({title: "Precision against recall", isLive: true, legend: [["c0", `precision at IoU ${iou}`]],
          numbers: () => ({heads: ["recall", "precision"], rows: recalls.map((recall, k) => [recall.toFixed(2), share(group().precision?.[k])])}),
          draw: (width, say) => lineChart(width, say, {label: `Precision of ${nameOf(state.label)} against recall`,
            x: {low: 0, high: 1, title: "recall"}, y: {low: 0, high: 1}, marks: operatingPoint(),
            series: [{name: "precision", style: "c0", xs: recalls, ys: group().precision || []}]})})));
    drawDecision(node);
  });
}

function drawDecision(node) {
  const {decision} = DATA;
  if (!decision) return;
  const columns = decision.columns.map((column) => ({...column, value: (k) => column.values[k]}));
  const {table} = sortableTable({first: "class", columns, rows: NAMES.map((_, k) => k), nameOfRow: (k) => NAMES[k], head: (k) => NAMES[k]});
  node.append(html("h3", null, "Thresholds to deploy"), html("p", {class: "muted"}, decision.explanation),
    html("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "thresholds to deploy"}, table));
}

function drawErrors() {
  const {errors, confusion} = DATA;
  if (!errors && !confusion) return;
  section("errors", "Kinds of errors", "What the detector gets wrong, and what that costs.", (node) => {
    const plots = html("div", {class: "plots"});
    if (errors) {
      plots.append(plot({title: "AP lost to each kind of error (TIDE)", note: `AP at IoU ${errors.iou} would rise by so much if errors of one kind were corrected.`,
        numbers: () => ({heads: ["kind", "AP lost", "number"], rows: errors.rows.map(({name, value, text}) => [name, share(value), text])}),
        isStill: true, draw: (width) => barChart(width, {label: `AP lost by kind of error: ${errors.rows.map(({name, value}) => `${name} ${share(value)}`).join(", ")}`, rows: errors.rows})}),
      );
      plots.lastChild.append(html("dl", {class: "narrow"}, errors.rows.map(({name, meaning}) => [html("dt", null, name), html("dd", null, meaning)])));
    }
    if (confusion) plots.append(confusionPlot(confusion));
    node.append(plots);
  });
}

const MOST_CLASSES = 26;
function confusionPlot({names, cells, score, iou}) {
  const background = names.length - 1;
  const mistaken = names.map(() => 0);
  cells.forEach(([row, column, value]) => { if (row !== column && row !== background && column !== background) { mistaken[row] += value; mistaken[column] += value; } });
  const isCut = names.length > MOST_CLASSES;
  const chosen = names.map((_, k) => k).filter((k) => k !== background).sort((a, b) => mistaken[b] - mistaken[a] || a - b);
  const kept = [...(isCut ? chosen.slice(0, MOST_CLASSES - 1).sort((a, b) => a - b) : chosen.sort((a, b) => a - b)), background];
  const placeOf = new Map(kept.map((k, place) => [k, place]));
  const note = `Rows are annotated, columns found, at score ${score} and IoU ${iou}; background is what is missed (column) or found where nothing is (row).`;
  return plot({title: "Confusion matrix", note: isCut ? `${note} The ${kept.length - 1} classes that are mistaken most; all are under Numbers.` : note,
    numbers: () => ({heads: ["annotated", "found as", "boxes"],
      rows: cells.filter(([row, column]) => row !== column).sort((a, b) => b[2] - a[2]).slice(0, 500).map(([row, column, value]) => [names[row], names[column], count(value)])}),
    draw: (width, say) => matrixChart(width, say, {label: "Confusion matrix of annotated and found classes", names: kept.map((k) => names[k]), rowTitle: "annotated", columnTitle: "found as",
      cells: cells.filter(([row, column]) => placeOf.has(row) && placeOf.has(column)).map(([row, column, value]) => [placeOf.get(row), placeOf.get(column), value])})});
}

function drawSlices() {
  if (!DATA.slices.length) return;
  const lead = "AP by properties of boxes and images. A low bar with many boxes is worth more data or another setting.";
  section("where", "Where it fails", lead, (node) => node.append(html("div", {class: "plots small"}, DATA.slices.map(({title, measure, rows}) => plot({
    title, note: measure,
    numbers: () => ({heads: ["part", "AP", "boxes"], rows: rows.map(({name, value, boxes}) => [name, share(value), count(boxes)])}),
    isStill: true, draw: (width) => barChart(width, {label: `${title}: ${rows.map(({name, value}) => `${name} ${share(value)}`).join(", ")}`, high: 1,
      rows: rows.map(({name, value, boxes, low, high}) => ({name, value, low, high, text: `${count(boxes)} box${boxes === 1 ? "" : "es"}`}))}),
  })))));
}

function drawCalibration() {
  const {calibration} = DATA;
  if (!calibration) return;
  section("calibration", "Calibration", calibration.explanation, (node) => {
    const {bins} = calibration, most = Math.max(...bins.map((bin) => bin.count), 1);
    node.append(html("div", {class: "plots"},
      plot({title: "Share of right detections against score", note: "On the diagonal, a score is the probability that the detection is right. Circles grow with the number of detections.",
        numbers: () => ({heads: ["mean score", "share that is right", "detections"], rows: bins.map((bin) => [share(bin.score), share(bin.precision), count(bin.count)])}),
        draw: (width, say) => lineChart(width, say, {label: `Reliability diagram, calibration error ${share(calibration.error)}`, x: {low: 0, high: 1, title: "score"}, y: {low: 0, high: 1},
          series: [{style: "c6", xs: [0, 1], ys: [0, 1], isDashed: true},
            {name: "right", style: "c0", hasPoints: true, xs: bins.map((bin) => bin.score), ys: bins.map((bin) => bin.precision), sizes: bins.map((bin) => 2.5 + 7 * Math.sqrt(bin.count / most))}]})}),
      plot({title: "Detections by score",
        isStill: true, draw: (width) => barChart(width, {label: "Number of detections by score", format: count, rows: bins.map((bin) => ({name: bin.name, value: bin.count}))})})));
  });
}

function drawRun() {
  const {run} = DATA;
  if (!run) return;
  section("training", "Training", run.explanation, (node) => {
    const chart = (title, curves) => plot({title, legend: curves.map(({name}, k) => [SERIES(k), name]),
      numbers: () => ({heads: ["epoch", ...curves.map(({name}) => name)], rows: run.epochs.map((epoch, k) => [epoch, ...curves.map(({values}) => short(values[k]))])}),
      draw: (width, say) => {
        const values = curves.flatMap(({values: own}) => own.filter(isNumber));
        return lineChart(width, say, {label: `${title} over ${run.epochs.length} epochs`, x: {low: Math.min(...run.epochs), high: Math.max(...run.epochs), title: "epoch", isWhole: true},
          y: {low: Math.min(0, ...values), high: Math.max(...values, 1e-6) * 1.05}, marks: run.best ? [{x: run.best, text: "best.keras"}] : [],
          series: curves.map(({name, values: own}, k) => ({name, style: SERIES(k), xs: run.epochs, ys: own, hasPoints: run.epochs.length < 40}))});
      }});
    node.append(html("div", {class: "plots"}, run.charts.map(({title, curves}) => chart(title, curves))));
  });
}

function drawComparison() {
  const {comparison} = DATA;
  if (!comparison) return;
  section("comparison", "Comparison of models", comparison.explanation, (node) => {
    if (DATA.models) node.append(modelPlots(DATA.models));
    for (const {title, explanation, heads, rows} of comparison.tables) {
      const columns = heads.slice(1).map((column, k) => ({...column, value: (row) => row[k + 1]}));
      const {table} = sortableTable({first: heads[0].title, columns, rows, nameOfRow: (row) => row[0], head: (row) => row[0], isInOrder: true});
      fill(node, null, [html("h3", null, title), explanation ? html("p", {class: "muted"}, explanation) : null,
        html("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": title}, table)]);
    }
  });
}

/** Curves and kinds of errors of all models, of the chosen class. */
function modelPlots({iou, recalls, thresholds, models, errors}) {
  const legend = models.map(({name}, k) => [SERIES(k), name]);
  const curves = (title, key, xs, axis) => plot({title, note: `at IoU ${iou}`, legend, isLive: true,
    numbers: () => ({heads: [axis, ...models.map(({name}) => name)],
      rows: xs.map((x, k) => [x.toFixed(2), ...models.map(({groups}) => share(groups[state.label + 1][key]?.[k]))])}),
    draw: (width, say) => lineChart(width, say, {label: `${title} of ${models.length} models, ${nameOf(state.label)}`, x: {low: 0, high: 1, title: axis}, y: {low: 0, high: 1},
      series: models.map(({name, groups}, k) => ({name, style: SERIES(k), xs, ys: groups[state.label + 1][key] || []}))})});
  const bars = errors.flatMap(({name, values, counts}) => models.map((model, k) => ({name: k ? "" : name, title: `${name}, ${model.name}`, value: values[k],
    text: plural(counts[k], "case"), style: SERIES(k)})));
  return html("div", {class: "plots"}, curves("Precision against recall", "precision", recalls, "recall"), curves("F1 against score", "f1", thresholds, "score"),
    plot({title: "AP lost to each kind of error (TIDE)", note: `AP at IoU ${iou} of all classes would rise by so much if errors of one kind were corrected.`, legend, isStill: true,
      numbers: () => ({heads: ["kind", "meaning", ...models.flatMap(({name}) => [`AP lost, ${name}`, `number, ${name}`])],
        rows: errors.map(({name, meaning, values, counts}) => [name, meaning, ...values.flatMap((value, k) => [share(value), count(counts[k])])])}),
      draw: (width) => barChart(width, {label: `AP lost by kind of error: ${bars.map(({title, value}) => `${title} ${share(value)}`).join(", ")}`, rows: bars})}));
}

function drawAbout() {
  section("about", "About this report", null, (node) => node.append(html("dl", null, DATA.about.map(({name, text, isCode}) => [
    html("dt", null, name), html("dd", null, text.includes("\n") ? html("details", null, html("summary", null, plural(text.trim().split("\n").length, "line")), html("pre", null, text))
      : isCode ? html("pre", null, text) : text)]))));
}

/** The row of links, which marks the section in view. */
function drawContents() {
  const links = new Map(sections.map(({id, title}) => [id, html("a", {href: `#${id}`}, title)]));
  document.querySelector("#contents").append(html("div", null, [...links.values()]));
  const row = document.querySelector("#contents > div");
  const mark = () => {
    const passed = sections.filter(({node}) => node.getBoundingClientRect().top < 120).pop();
    for (const [id, link] of links) {
      const isHere = Boolean(passed && passed.id === id);
      if (!passed) row.scrollTo({left: 0});
      if (isHere && !link.hasAttribute("aria-current")) row.scrollTo({left: link.offsetLeft - row.clientWidth / 2 + link.offsetWidth / 2});
      if (isHere) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => requestAnimationFrame(mark), {passive: true});
}

drawTop();
drawAdvice();
drawComparison();
section("classes", "Classes", "Choose a class to see it in the plots and pictures; column heads sort.", (node) => node.append(...classTable()));
drawThreshold();
drawErrors();
drawSlices();
if (DATA.galleries.length) section("pictures", "Pictures", null, galleries);
drawCalibration();
drawRun();
drawAbout();
drawContents();
