"use strict";
// The table of all architectures and what links it to the scatters: filter, selection, the one pointed at, downloads.
(async function () {
  const $ = (id) => document.getElementById(id);
  const bytes = Uint8Array.from(atob($("data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const D = JSON.parse(await new Response(stream).text());
  const n = D.arch.length, ROWS = 25;
  const number = (v) => (v === "inf" ? Infinity : v === "-inf" ? -Infinity : v === null ? NaN : v);
  const V = D.values.map((list) => Float64Array.from(list, number)), at = (name) => D.columns.indexOf(name);
  const target = D.target ? V[at(D.target)] : null;
  const base = D.columns.map((_, k) => k).slice(0, 3).concat(D.target && at(D.target) > 2 ? [at(D.target)] : []);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let shown = base, passes = new Array(n).fill(true), chosen = null, page = 0, printing = false, colours = [];
  let sorted = { column: -2, down: false };
  const order = [...Array(n).keys()];

  // Colours: viridis from the target's 5 % to its 95 % quantile, the best end farthest from the paper.
  let low = 0, high = 1;
  if (target) {
    const known = target.filter(Number.isFinite).sort();
    if (known.length) {
      low = known[Math.floor(known.length * 0.05)];
      high = known[Math.floor((known.length - 1) * 0.95)];
    }
  }
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  function shade(good) {
    const f = dark.matches && !printing ? good : 1 - good, k = Math.min(3, Math.floor(f * 4));
    return `rgb(${stops[k].map((c, j) => Math.round(c + (f * 4 - k) * (stops[k + 1][j] - c))).join()})`;
  }
  function colourOf(v) {
    if (Number.isNaN(v)) return "#999";
    const f = high > low ? Math.min(1, Math.max(0, (v - low) / (high - low))) : 0.5;
    return shade(D.minimize ? 1 - f : f);
  }
  function recolour() {
    colours = target ? Array.from(target, colourOf) : new Array(n).fill("#3f8fd0");
    if (!target || !$("legend")) return;
    const steps = [0, 0.25, 0.5, 0.75, 1].map((f) => shade(D.minimize ? 1 - f : f));
    $("legend-bar").style.background = `linear-gradient(to right, ${steps.join()})`;
    $("legend-low").textContent = "≤ " + text(low);
    $("legend-high").textContent = "≥ " + text(high);
  }
  function text(v) {
    if (Number.isNaN(v)) return "–";
    if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
    return (Number.isInteger(v) ? String(v) : String(Number(v.toPrecision(4)))).replace("-", "−");
  }

  const model = {
    n, pointed: -1,
    lit: (i) => passes[i] && (!chosen || chosen.has(i)),
    colour: (i) => colours[i],
    printing: () => printing,
    ink: () => (printing ? "#222" : getComputedStyle(document.body).color),
    choose(set) { chosen = set; page = 0; refresh(); },
    point(i) {
      model.pointed = i;
      const box = $("pointed");
      box.replaceChildren();
      box.hidden = i < 0;
      if (i >= 0) {
        const name = document.createElement("bdi"), values = document.createElement("span");
        name.textContent = D.arch[i];
        values.textContent = shown.map((k) => `${D.columns[k]} ${text(V[k][i])}`).join(" · ");
        const words = document.createElement("p"), cell = drawCell(D.arch[i]);
        words.append(name, document.createElement("br"), values);
        box.append(...(cell ? [words, cell] : [words]));
      }
      scatters.forEach((scatter) => scatter.overlay());
    },
  };
  const scatters = D.panels.map(([a, b], k) => {
    const scatter = new Scatter(model, [a, b], V[at(a)], V[at(b)], D.fronts[k]);
    $("panels").append(scatter.canvas);
    return scatter;
  });

  // The table: a page of rows, headings that sort, and the column of the filter beside the usual ones.
  const visible = () => order.filter(model.lit);
  const head = $("explore").tHead.rows[0];
  function heads() {
    head.replaceChildren(...[-1, ...shown].map((k) => {
      const heading = document.createElement("th"), button = document.createElement("button");
      heading.className = k < 0 ? "" : "number";
      button.textContent = k < 0 ? "architecture" : D.columns[k];
      if (sorted.column === k) heading.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      button.addEventListener("click", () => { sort(k); heads(); head.cells[1 + shown.indexOf(k)].firstChild.focus(); });
      heading.append(button);
      return heading;
    }));
  }
  function sort(k) {
    const down = sorted.column === k ? !sorted.down : k >= 0, sign = down ? -1 : 1;
    sorted = { column: k, down };
    order.sort((a, b) => {
      if (k < 0) return sign * ((D.arch[a] > D.arch[b]) - (D.arch[a] < D.arch[b]));
      const u = V[k][a], v = V[k][b];
      if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v) || a - b;
      return sign * ((u > v) - (u < v)) || a - b;
    });
    page = 0;
    table();
  }
  function table() {
    const rows = visible(), pages = Math.max(1, Math.ceil(rows.length / ROWS));
    page = Math.min(page, pages - 1);
    $("explore").tBodies[0].replaceChildren(...rows.slice(page * ROWS, (page + 1) * ROWS).map((i) => {
      const row = document.createElement("tr");
      row.tabIndex = 0;
      [-1, ...shown].forEach((k) => {
        const cell = document.createElement("td");
        cell.className = k < 0 ? "arch" : "number";
        cell.textContent = k < 0 ? D.arch[i] : text(V[k][i]);
        row.append(cell);
      });
      row.addEventListener("mouseenter", () => model.point(i));
      row.addEventListener("focus", () => model.point(i));
      return row;
    }));
    $("count").textContent = `${rows.length} of ${n} architectures${chosen ? ", selected in a figure" : ""}; ` +
      `page ${page + 1} of ${pages}`;
    $("explore-before").disabled = page === 0;
    $("explore-next").disabled = page + 1 >= pages;
  }
  function refresh() { scatters.forEach((scatter) => scatter.paint()); table(); }
  function redraw() { recolour(); scatters.forEach((scatter) => scatter.paint()); }

  const pick = $("explore-column"), least = $("explore-least"), most = $("explore-most");
  D.columns.forEach((name, k) => {
    const option = document.createElement("option");
    option.value = k;
    option.textContent = name;
    pick.append(option);
  });
  function filter() {
    const word = $("explore-filter").value.toLowerCase(), k = Number(pick.value);
    const bound = least.value !== "" || most.value !== "";
    const from = least.value === "" ? -Infinity : Number(least.value), to = most.value === "" ? Infinity : Number(most.value);
    passes = D.arch.map((name, i) => name.toLowerCase().includes(word) && (!bound || (V[k][i] >= from && V[k][i] <= to)));
    shown = base.includes(k) || !D.columns.length ? base : [...base, k];
    page = 0;
    heads();
    refresh();
  }
  for (const id of ["explore-filter", "explore-least", "explore-most", "explore-column"])
    $(id).addEventListener("input", filter);
  $("explore-clear").addEventListener("click", () => {
    chosen = null;
    $("explore-filter").value = least.value = most.value = "";
    filter();
  });
  $("explore-before").addEventListener("click", () => { page -= 1; table(); });
  $("explore-next").addEventListener("click", () => { page += 1; table(); });

  const quote = (s) => '"' + String(s).replace(/"/g, '""') + '"';
  window.explorerCsv = () => {
    const texts = D.texts.map(([, levels, codes]) => (i) => quote(levels[codes[i]]));
    const line = (i) => [quote(D.arch[i]), ...D.values.map((list) => list[i] ?? ""), ...texts.map((of) => of(i))].join();
    const names = ["arch", ...D.columns, ...D.texts.map(([name]) => name)].map(quote).join();
    return [names, ...visible().map(line), ""].join("\r\n");
  };
  window.rankingCsv = () => D.ranking;
  function save(name, content) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  $("explore-csv").addEventListener("click", () => save("architectures.csv", window.explorerCsv()));
  if ($("ranking-csv")) $("ranking-csv").addEventListener("click", () => save("ranking.csv", window.rankingCsv()));

  window.addEventListener("resize", redraw);
  dark.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => { printing = true; redraw(); });
  window.addEventListener("afterprint", () => { printing = false; redraw(); });
  heads();
  recolour();
  refresh();
  document.documentElement.dataset.explorer = "yes";
})();
