"use strict";
// Tables that are in the page as text: a click on a heading sorts, a word filters.
document.querySelectorAll("table.sortable").forEach((table) => {
  table.querySelectorAll("thead th").forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") !== "descending", body = table.tBodies[0];
      const key = (row) => {
        const cell = row.cells[column], raw = cell.dataset.sort || cell.textContent.trim().replace(/−/g, "-");
        if (raw === "∞" || raw === "-∞") return raw === "∞" ? Infinity : -Infinity;
        return raw !== "" && !isNaN(raw) ? Number(raw) : raw;
      };
      const empty = (value) => value === "" || value === "–" || value === "nan";
      Array.from(body.rows).sort((first, second) => {
        const a = key(first), b = key(second);
        if (empty(a) || empty(b)) return empty(a) - empty(b);
        const both = typeof a === "number" && typeof b === "number";
        const order = both ? (a > b) - (a < b) : String(a).localeCompare(String(b));
        return down ? -order : order;
      }).forEach((row) => body.append(row));
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
});
const wanted = document.getElementById("ranking-filter");
if (wanted) wanted.addEventListener("input", () => {
  for (const row of document.getElementById("ranking").tBodies[0].rows)
    row.hidden = !row.textContent.replace(/\u200b/g, "").toLowerCase().includes(wanted.value.toLowerCase());
});
document.documentElement.dataset.ready = "yes";
