// Pictures with boxes over them as SVG, so that boxes can be switched off and follow the score threshold.

const LAYERS = [["truth", "annotated boxes"], ["right", "right detections"], ["wrong", "wrong detections"], ["labels", "names"]];
let pictures = null;
/** The JPEG or WebP of a picture as a URL; the block with all pictures is parsed when the first is drawn. */
function pictureUrl(index) {
  pictures ??= JSON.parse(document.getElementById("report-pictures").textContent);
  return pictures[index];
}

/** One box: a dark line below a bright one, visible on any picture, and the name that appears when switched on. */
function drawBox([x1, y1, x2, y2], layer, style, isFocus, text, size, isDim) {
  const place = {x: x1, y: y1, width: Math.max(x2 - x1, 0.5), height: Math.max(y2 - y1, 0.5)};
  const focus = isFocus ? " focus" : "";
  return svg("g", {class: `of-${layer}${isDim ? " dim" : ""}`},
    svg("rect", {class: `box halo${focus}`, ...place}),
    svg("rect", {class: `box ${style}${focus}`, ...place}),
    svg("text", {class: "label", x: x1 + size * 0.2, y: layer === "truth" ? y2 - size * 0.3 : Math.max(y1 - size * 0.25, size), "font-size": size}, text));
}

/** The picture of an item with its boxes. `update()` applies the score thresholds. */
function stage(item, isLarge) {
  const {width, height} = item;
  const size = Math.max(width, height) / (isLarge ? 45 : 20);
  const isAbout = [...item.truth, ...item.found].some(({isFocus}) => isFocus);
  const root = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${item.caption}, ${item.name}`, preserveAspectRatio: "xMidYMid meet"},
    svg("image", {href: pictureUrl(item.picture), width, height, decoding: "async"}));
  const truth = item.truth.map(({box, label, score, isIgnored, isFocus}) => {
    const node = drawBox(box, "truth", isIgnored ? "ignored" : "truth", isFocus, nameOf(label), size, isAbout && !isFocus);
    root.append(node);
    return {node: node.childNodes[1], isMissed: () => !isIgnored && !(score > thresholdOf(label))};
  });
  const found = item.found.map(({box, label, score, verdict, isFocus}) => {
    const style = verdict === "right" ? "right" : verdict === "wrong" ? "wrong" : "ignored";
    const node = drawBox(box, style === "wrong" ? "wrong" : "right", style, isFocus, `${nameOf(label)} ${score.toFixed(2)}`, size, isAbout && !isFocus);
    root.append(node);
    return {node, isShown: () => isFocus || score > thresholdOf(label)};
  });
  const update = () => {
    truth.forEach(({node, isMissed}) => node.classList.toggle("missed", isMissed()));
    found.forEach(({node, isShown}) => node.setAttribute("visibility", isShown() ? "visible" : "hidden"));
  };
  update();
  return {node: html("div", {class: "stage"}, root), update};
}

/** The large view of one item among those shown. */
function viewer(section) {
  let items = [], index = 0, current = null;
  const place = html("div"), where = html("span", {class: "where", role: "status"}), list = html("div", {class: "scroll"});
  const dialog = html("dialog", {"aria-label": "picture", keydown: (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") step(event.key === "ArrowRight" ? 1 : -1);
  }});
  const step = (by) => { index = (index + by + items.length) % items.length; show(); };
  const button = (text, label, action) => html("button", {type: "button", "aria-label": label, click: action}, text);
  dialog.append(html("div", {class: "tools"}, where, thresholdSlider("view-score"), button("‹", "previous picture", () => step(-1)),
    button("›", "next picture", () => step(1)), button("Close", "close", () => dialog.close())), place, list);
  const show = () => {
    const item = items[index];
    current = stage(item, true);
    place.replaceChildren(current.node);
    where.replaceChildren(html("b", null, item.caption), ` ${item.name} (${index + 1} of ${items.length})`);
    const rows = [...item.truth.map((box) => [box, box.isIgnored ? "ignore region" : "annotated", ""]),
      ...item.found.map((box) => [box, `${box.verdict} detection`, box.score.toFixed(3)])];
    rows.sort(([a], [b]) => Boolean(b.isFocus) - Boolean(a.isFocus));  // what the picture is about comes first
    list.replaceChildren(plainTable(["class", "box", "score"], rows.map(([{label}, ...rest]) => [nameOf(label), ...rest])));
  };
  watch(() => { if (dialog.open) current.update(); });
  section.append(dialog);
  return (shown, at) => { items = shown; index = at; show(); dialog.showModal(); };
}

/** The galleries as tabs; items of other classes than the chosen one are left out. */
function galleries(section) {
  const open = viewer(section);
  const tiles = html("div", {class: "tiles"}), words = html("p", {class: "muted"});
  let shown = [], chosen = 0, drawn = null;
  const tabs = DATA.galleries.map(({title, items}, k) => html("button", {type: "button", role: "tab",
    click: () => { chosen = k; draw(); }}, `${title} (${items.length})`));
  const draw = () => {
    const {explanation, items} = DATA.galleries[chosen];
    const kept = items.filter(({labels}) => state.label === ALL || labels.includes(state.label));
    tabs.forEach((tab, k) => tab.setAttribute("aria-selected", k === chosen));
    words.textContent = kept.length ? explanation : `${explanation} None of them is of the class ${nameOf(state.label)}.`;
    shown = kept.map((item) => stage(item, false));
    drawn = `${chosen} ${state.label}`;
    tiles.replaceChildren(...kept.map((item, k) => html("button", {type: "button", class: "tile", title: item.name, click: () => open(kept, k)},
      shown[k].node, html("span", {class: "caption"}, html("b", null, item.caption), html("span", {class: "muted"}, shorten(item.name, 44))))));
  };
  const switches = LAYERS.map(([name, text]) => {
    const box = html("input", {type: "checkbox", checked: name !== "labels", change: () => section.classList.toggle(`hide-${name}`, !box.checked)});
    return html("label", null, box, text);
  });
  section.classList.add("hide-labels");
  const key = [["truth", "annotated and found"], ["missed", "annotated and missed"], ["right", "right detection"], ["wrong", "wrong detection"]];
  section.append(
    html("div", {class: "tabs", role: "tablist", "aria-label": "galleries", keydown: (event) => {
      const move = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (move) { chosen = (chosen + move + tabs.length) % tabs.length; draw(); tabs[chosen].focus(); }
    }}, tabs), words,
    html("div", {class: "tools"}, thresholdSlider("gallery-score"), byClassSwitch(), classChoice(), switches),
    html("div", {class: "legend key"}, key.map(([style, text]) => html("span", null, html("i", {class: style}), html("b", null, text)))), tiles);
  whenSeen(tiles, () => {
    draw();
    watch(() => { if (drawn === `${chosen} ${state.label}`) shown.forEach(({update}) => update()); else draw(); });
  });
}
