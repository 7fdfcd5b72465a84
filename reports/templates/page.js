// The report's moving parts: similarity over epochs, folding over thresholds. All from numbers carried in the page.
"use strict";

(() => {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const colours = ["#e07a5f", "#3d85c6", "#81b29a", "#b58ec9", "#e2b93b", "#5fa8a0", "#d36fa0", "#9c8a6b", "#7f8fd1", "#a3b85a"];
  const ways = [1, 2, 3, 4, 5, 6].map((index) => `var(--way${index})`);
  const dashes = ["none", "6 2", "2 2"]; // colour alone tells too little
  const svg = "http://www.w3.org/2000/svg";

  function element(name, attributes = {}, text = "") {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function shape(parent, name, attributes, text = "") {
    const made = document.createElementNS(svg, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  function slider(parent, label, count, start, show) {
    const id = `slider-${document.querySelectorAll("input[type=range]").length}`;
    const row = element("p", { class: "slider" });
    const input = element("input", { type: "range", id, min: 0, max: count - 1, step: 1, value: start });
    const output = element("output", { for: id, "aria-live": "polite" });
    row.append(element("label", { for: id }, label), input, output);
    parent.append(row);
    const update = () => {
      output.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", update);
    return update;
  }

  // White = 1, black = 0, as the paper draws it; the clusters' colours along the diagonal where they are given.
  function drawMatrix(matrix, cluster = null) {
    const side = 132;
    const cell = side / matrix.length;
    const picture = document.createElementNS(svg, "svg");
    picture.setAttribute("viewBox", `0 0 ${side} ${side}`);
    picture.setAttribute("class", "matrix");
    picture.setAttribute("role", "img");
    matrix.forEach((row, i) =>
      row.forEach((value, j) => {
        const grey = Math.round(255 * value);
        const fill = cluster !== null && i === j ? colours[cluster[i] % colours.length] : `rgb(${grey},${grey},${grey})`;
        const place = { x: j * cell, y: i * cell, width: cell, height: cell, fill };
        shape(picture, "rect", place).append(titled(`layers ${i + 1} and ${j + 1}: ${value.toFixed(2)}`));
      }),
    );
    const pairs = matrix.flatMap((row, i) => row.slice(i + 1));
    const mean = pairs.reduce((sum, value) => sum + value, 0) / pairs.length;
    const summary = `mean similarity of two layers ${mean.toFixed(2)}, largest ${Math.max(...pairs).toFixed(2)}`;
    picture.setAttribute("aria-label", summary);
    return { picture, summary };
  }

  function titled(text) {
    const title = document.createElementNS(svg, "title");
    title.textContent = text;
    return title;
  }

  function showEpochs(figure, run) {
    const panels = element("div", { class: "panels" });
    const update = slider(figure, "Epoch", run.epochs.length, run.epochs.length - 1, (index) => {
      panels.replaceChildren(
        ...run.groups.map((group) => {
          const { picture, summary } = drawMatrix(Folding.similarity(group.coefficients[index]));
          const panel = element("div");
          const [mean, maximum] = group.chance.map((value) => value.toFixed(2));
          panel.append(picture, element("strong", {}, group.name));
          panel.append(element("small", {}, `${summary}; by chance ${mean} and ${maximum}`));
          return panel;
        }),
      );
      return `${run.epochs[index]} of ${run.epochs[run.epochs.length - 1]}`;
    });
    figure.append(panels);
    update();
  }

  function showThresholds(figure, run) {
    const panels = element("div", { class: "panels" });
    const told = element("p", { class: "told", "aria-live": "polite" });
    const last = run.epochs.length - 1;
    const matrices = run.groups.map((group) => Folding.similarity(group.coefficients[last]));
    const thresholds = Array.from({ length: 51 }, (_, index) => (50 + index) / 100);
    const update = slider(figure, "Layers become one at similarity", thresholds.length, thresholds.indexOf(0.8), (index) => {
      let gone = 0;
      let saved = 0;
      panels.replaceChildren(
        ...run.groups.map((group, at) => {
          const cluster = Folding.clusters(matrices[at], thresholds[index]);
          const found = Folding.loops(cluster);
          const counts = Folding.parameters(group, cluster);
          gone += group.layers - found.distinct.length;
          saved += counts.soft - counts.tied;
          const panel = element("div");
          const row = element("div", { class: "pair" });
          row.append(drawMatrix(matrices[at], cluster).picture, drawFolded(found));
          panel.append(row, element("strong", {}, group.name), element("code", {}, Folding.written(found.items)));
          return panel;
        }),
      );
      const layers = run.layers ? `${run.layers - gone} layers in place of ${run.layers}` : `${gone} layers fewer`;
      const left = (run.parameters - saved).toLocaleString("en");
      told.textContent = `${layers}; ${left} parameters in place of ${run.parameters.toLocaleString("en")}`;
      return thresholds[index].toFixed(2);
    });
    figure.append(told, panels);
    update();
  }

  // The layers that are left, one below the other; ways back and past in colour, in the order in which they are taken.
  function drawFolded(found) {
    const step = 22;
    const picture = document.createElementNS(svg, "svg");
    const height = found.distinct.length * step + 6;
    picture.setAttribute("viewBox", `0 0 120 ${height}`);
    picture.setAttribute("class", "folded");
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `folded: ${Folding.written(found.items)}`);
    const middle = (layer) => found.distinct.indexOf(layer) * step + 11;
    const taken = new Set(found.sequence.slice(1).map((layer, index) => `${found.sequence[index]} ${layer}`));
    found.distinct.forEach((layer, index) => {
      const y = middle(layer);
      if (index && taken.has(`${found.distinct[index - 1]} ${layer}`)) {
        shape(picture, "path", { d: `M28 ${y - 15} V${y - 8}`, class: "on" });
      }
      const fill = colours[index % colours.length];
      shape(picture, "rect", { x: 8, y: y - 8, width: 40, height: 16, rx: 3, fill });
      shape(picture, "text", { x: 28, y: y + 4, "text-anchor": "middle" }, layer);
    });
    found.jumps.forEach(({ source, target, steps }, order) => {
      const stroke = ways[order % ways.length];
      const reach = 56 + 9 * order;
      const [from, to] = source === target ? [middle(source) + 4, middle(target) - 4] : [middle(source), middle(target)];
      shape(picture, "path", { d: `M48 ${from} H${reach} V${to} H50`, style: `stroke: ${stroke}; stroke-dasharray: ${dashes[order % 3]}`, class: "way" });
      shape(picture, "path", { d: `M48 ${to} l5 -3 v6 z`, style: `fill: ${stroke}` });
      shape(picture, "text", { x: reach + 2, y: (from + to) / 2 + 3, class: "times" }, steps.join(", "));
    });
    return picture;
  }

  for (const figure of document.querySelectorAll("[data-epochs]")) showEpochs(figure, numbers[figure.dataset.epochs]);
  for (const figure of document.querySelectorAll("[data-folding]")) showThresholds(figure, numbers[figure.dataset.folding]);

  // A cell leads to the runs behind it: what it points to is opened on the way.
  function open() {
    const place = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (place instanceof HTMLDetailsElement) {
      place.open = true;
      place.querySelector("summary").focus();
      place.scrollIntoView();
    }
  }
  addEventListener("hashchange", open);
  open();
})();
