"use strict";
// Elements, numbers as text, and the state that sliders, choices and tables share.

const DATA = JSON.parse(document.getElementById("report-data").textContent);
const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. Strings become text nodes, never markup. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const share = (value) => (isNumber(value) ? value.toFixed(3) : "–");
const percent = (value) => (isNumber(value) ? `${(100 * value).toFixed(1)} %` : "–");
const count = (value) => (isNumber(value) ? value.toLocaleString("en") : "–");
const short = (value) => (!isNumber(value) ? "–" : value && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4))));
const signed = (value) => (isNumber(value) ? `${value > 0 ? "+" : ""}${Number.isInteger(value) ? value : value.toFixed(3)}` : "–");
const FORMATS = {share, count, change: signed, text: (value) => value || "–", score: (value) => (isNumber(value) ? value.toFixed(2) : "–"), short, percent};
const shorten = (text, length) => (text.length > length ? `${text.slice(0, Math.max(length - 1, 1))}…` : text);
const plural = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

const NAMES = DATA.classes.names;
const ALL = -1;
const state = {label: ALL, threshold: DATA.threshold, isByClass: false};
const watchers = [];
/** Calls `watcher` now and after every change of the state. */
function watch(watcher) {
  watchers.push(watcher);
  watcher();
}
function change(part) {
  Object.assign(state, part);
  watchers.forEach((watcher) => watcher());
}
const nameOf = (label) => (label === ALL ? "all classes" : NAMES[label]);
/** Detections of a class that score above it are shown and counted. */
function thresholdOf(label) {
  const own = state.isByClass && DATA.decision ? DATA.decision.thresholds[label] : null;
  return isNumber(own) ? own : state.threshold;
}

/** Hits, wrong detections and misses of a class, or of all, at the chosen thresholds. */
function countsOf(label) {
  const {thresholds, groups} = DATA.curves;
  const labels = label !== ALL ? [label] : state.isByClass ? NAMES.map((_, k) => k) : [ALL];
  const total = {hits: 0, wrong: 0, boxes: 0};
  for (const one of labels) {
    const group = groups[one + 1];
    total.boxes += group.boxes;
    if (state.isByClass && one !== ALL && isNumber(DATA.decision.thresholds[one])) {
      total.hits += DATA.decision.right[one];
      total.wrong += DATA.decision.found[one] - DATA.decision.right[one];
      continue;
    }
    const wanted = state.threshold;
    let index = thresholds.findIndex((value) => value >= wanted - 1e-9);
    if (index < 0) index = thresholds.length;
    total.hits += group.hits[index] ?? 0;
    total.wrong += group.wrong[index] ?? 0;
  }
  const {hits, wrong, boxes} = total;
  return {
    ...total, missed: boxes - hits, found: hits + wrong,
    precision: hits + wrong ? hits / (hits + wrong) : null,
    recall: boxes ? hits / boxes : null,
    f1: boxes ? (2 * hits) / (hits + wrong + boxes) : null,
  };
}

/** A slider of the shared score threshold. */
function thresholdSlider(id) {
  const input = html("input", {
    type: "range", id, min: 0, max: 1, step: 0.01,
    input: () => change({threshold: Number(input.value), isByClass: false}),
  });
  const shown = html("output", {for: id});
  watch(() => {
    input.value = state.threshold;
    shown.textContent = state.isByClass ? "each class its own" : state.threshold.toFixed(2);
  });
  return html("label", {class: "slider"}, "Score above ", input, shown);
}

/** A switch to the thresholds chosen for each class. */
function byClassSwitch() {
  if (!DATA.decision || !DATA.decision.thresholds.some(isNumber)) return null;
  const box = html("input", {type: "checkbox", change: () => change({isByClass: box.checked})});
  watch(() => { box.checked = state.isByClass; });
  return html("label", null, box, "chosen threshold of each class");
}

/** A choice of the shared class. */
function classChoice() {
  const select = html("select", {"aria-label": "class", change: () => change({label: Number(select.value)})},
    html("option", {value: ALL}, "all classes"),
    NAMES.map((name, k) => html("option", {value: k}, shorten(name, 60))));
  watch(() => { select.value = state.label; });
  return html("label", null, "Class", select);
}
