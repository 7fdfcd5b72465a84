// Clusters of layers and their loops, in the page: what softshare/sharing/clusters.py and loops.py do, kept equal by a test.
"use strict";

const Folding = (() => {
  const ROUNDING = 1e-12; // cosines of equal vectors fall short of 1

  // |cosine| between the rows of a matrix of coefficients: [L][k] -> [L][L]; a row of zeros is like none.
  function similarity(rows) {
    const lengths = rows.map((row) => Math.hypot(...row));
    return rows.map((one, i) =>
      rows.map((other, j) => {
        const size = lengths[i] * lengths[j];
        if (size === 0) return 0;
        const inner = one.reduce((sum, value, index) => sum + value * other[index], 0);
        return Math.min(1, Math.abs(inner) / size);
      }),
    );
  }

  // Complete linkage: every pair of a cluster is at least `threshold` similar. [L][L] -> cluster of each layer, [L].
  function clusters(matrix, threshold) {
    let groups = matrix.map((_, layer) => [layer]);
    const apart = (one, other) => Math.max(...one.flatMap((i) => other.map((j) => 1 - (matrix[i][j] + matrix[j][i]) / 2)));
    for (;;) {
      let nearest = null;
      groups.forEach((one, a) =>
        groups.slice(a + 1).forEach((other) => {
          const distance = apart(one, other);
          if (nearest === null || distance < nearest.distance) nearest = { distance, one, other };
        }),
      );
      if (nearest === null || nearest.distance > 1 - threshold + ROUNDING) break;
      const { one, other } = nearest;
      groups = [...groups.filter((group) => group !== one && group !== other), [...one, ...other]];
    }
    const first = groups.map((group) => Math.min(...group));
    const order = [...groups.keys()].sort((a, b) => first[a] - first[b]);
    const cluster = new Array(matrix.length);
    order.forEach((group, number) => groups[group].forEach((layer) => (cluster[layer] = number)));
    return cluster;
  }

  // a to z, aa, ab, ...
  function layerName(index) {
    let name = "";
    for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) {
      name = String.fromCharCode(97 + ((rest - 1) % 26)) + name;
    }
    return name;
  }

  // The shortest way to write a sequence with loops: fewest layers written, then fewest loops, then loops that begin early.
  function loops(labels) {
    const names = new Map();
    labels.forEach((label) => names.has(label) || names.set(label, layerName(names.size)));
    const sequence = labels.map((label) => names.get(label));
    const best = new Map();
    const key = (start, stop) => start * (sequence.length + 1) + stop;
    const shorter = (one, other) => one.layers < other.layers || (one.layers === other.layers && one.loops < other.loops);
    for (let length = 1; length <= sequence.length; length++) {
      for (let start = 0; start + length <= sequence.length; start++) {
        best.set(key(start, start + length), shortest(start, start + length));
      }
    }

    function shortest(start, stop) {
      const length = stop - start;
      if (length === 1) return { layers: 1, loops: 0, items: [sequence[start]] };
      let found = null;
      for (let period = 1; period <= length / 2; period++) {
        if (length % period) continue;
        let repeats = true;
        for (let at = start; repeats && at + period < stop; at++) repeats = sequence[at] === sequence[at + period];
        if (!repeats) continue;
        const body = best.get(key(start, start + period));
        const loop = { layers: body.layers, loops: body.loops + 1, items: [{ body: body.items, trips: length / period }] };
        if (found === null || shorter(loop, found)) found = loop;
      }
      for (let middle = stop - 1; middle > start; middle--) {
        const head = best.get(key(start, middle));
        const tail = best.get(key(middle, stop));
        const both = { layers: head.layers + tail.layers, loops: head.loops + tail.loops };
        if (found === null || shorter(both, found)) found = { ...both, items: [...head.items, ...tail.items] };
      }
      return found;
    }

    const items = sequence.length ? best.get(key(0, sequence.length)).items : [];
    const distinct = [...names.values()];
    return { items, sequence, distinct, jumps: jumps(sequence, distinct) };
  }

  // Ways other than on to the next layer, in the order in which they are first taken.
  function jumps(sequence, distinct) {
    const place = new Map(distinct.map((layer, index) => [layer, index]));
    const taken = new Map();
    for (let step = 1; step < sequence.length; step++) {
      const [source, target] = [sequence[step - 1], sequence[step]];
      if (place.get(target) === place.get(source) + 1) continue;
      const way = `${source} ${target}`;
      taken.set(way, [...(taken.get(way) ?? []), step]);
    }
    return [...taken].map(([way, steps]) => ({ source: way.split(" ")[0], target: way.split(" ")[1], steps }));
  }

  const written = (items) =>
    items.map((item) => (typeof item === "string" ? item : `(${written(item.body)}) x ${item.trips}`)).join(" ");

  // Numbers that a group of L layers, k templates and weights of `size` takes: soft, and tied into clusters.
  function parameters({ layers, templates, size }, cluster) {
    const soft = templates * size + layers * templates;
    const count = new Set(cluster).size;
    const weights = count <= templates ? count * size : templates * size + count * templates;
    return { soft, tied: weights + layers - count };
  }

  return { similarity, clusters, loops, written, parameters };
})();

if (typeof module !== "undefined") module.exports = Folding;
