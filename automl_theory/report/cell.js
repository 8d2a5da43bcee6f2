"use strict";
// A NAS-Bench-201 cell as a small drawing: nodes 0 to 3, an edge for each operation but none. Other strings: null.
const CELL = /^\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|$/;
const OPERATIONS = {
  nor_conv_3x3: { text: "3×3", colour: "#0072b2", width: 3.5, dash: "" },
  nor_conv_1x1: { text: "1×1", colour: "#56b4e9", width: 2, dash: "" },
  avg_pool_3x3: { text: "pool", colour: "#009e73", width: 2, dash: "2 3" },
  skip_connect: { text: "skip", colour: "#909090", width: 2, dash: "6 3" },
  none: null,
};
// In the order of the string: the path of an edge, and where its name stands.
const EDGES = [
  ["M29 66H85", 57, 60],
  ["M25 58Q93 12 161 58", 93, 31],
  ["M102 66H158", 130, 60],
  ["M21 56Q130 -44 239 56", 130, 20],
  ["M98 74Q167 118 235 74", 167, 106],
  ["M176 66H231", 203, 60],
];

function drawCell(arch) {
  const found = CELL.exec(arch);
  if (!found || found.slice(1).some((name) => !Object.hasOwn(OPERATIONS, name))) return null;
  const make = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const svg = make("svg", { viewBox: "0 0 260 112", class: "cell", "aria-hidden": "true" });
  EDGES.forEach(([path, x, y], k) => {
    const how = OPERATIONS[found[k + 1]];
    if (!how) return;
    svg.append(make("path", { d: path, fill: "none", stroke: how.colour, "stroke-width": how.width,
      "stroke-dasharray": how.dash }));
    svg.append(make("text", { x, y, "text-anchor": "middle" }, how.text));
  });
  ["in", "1", "2", "out"].forEach((name, k) => {
    const x = 20 + 73.3 * k;
    svg.append(make("circle", { cx: x, cy: 66, r: 9 }));
    svg.append(make("text", { x, y: 70, "text-anchor": "middle" }, name));
  });
  return svg;
}
