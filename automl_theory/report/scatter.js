"use strict";
// One aspect against another on a canvas: dots are painted once, the pointer and the keys work on top of them.
// `model` knows what all scatters share: n, lit(i), colour(i), pointed, point(i), choose(set or null), ink(), printing().
class Scatter {
  constructor(model, [across, up], x, y, front) {
    Object.assign(this, { model, across, up, x, y, from: null, to: null, corner: -1, lines: {} });
    this.front = front.slice().sort((i, j) => x[i] - x[j] || y[j] - y[i]);
    this.dots = document.createElement("canvas");
    const canvas = (this.canvas = document.createElement("canvas"));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${across} against ${up}. Arrow keys go from point to point, Page Up and ` +
      "Page Down go far. Enter sets one corner of a selection, Enter again the other. Escape clears it.");
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.from = this.place(event);
      this.to = null;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.from) {
        const near = this.nearest(this.place(event));
        if (near >= 0 && near !== model.pointed) model.point(near);
        return;
      }
      this.to = this.place(event);
      this.overlay();
    });
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => { this.from = this.to = null; this.overlay(); });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  has(i) { return i >= 0 && !Number.isNaN(this.x[i]) && !Number.isNaN(this.y[i]); }

  at(i) { return [this.px(this.x[i]), this.py(this.y[i])]; }

  nearest([left, top]) {
    let best = -1, least = 144;
    for (let i = 0; i < this.model.n; i++) {
      if (!this.model.lit(i)) continue;
      const [u, v] = this.at(i), distance = (u - left) ** 2 + (v - top) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  }

  release(event) {
    if (!this.from) return;
    const from = this.from, to = this.to;
    this.from = this.to = null;
    if (to && Math.hypot(to[0] - from[0], to[1] - from[1]) > 4) { this.select(from, to); return; }
    const near = this.nearest(from);
    if (near >= 0) this.model.point(near);
    else this.model.choose(null);
  }

  select(from, to) {
    const [left, right] = [from[0], to[0]].sort((a, b) => a - b), [top, bottom] = [from[1], to[1]].sort((a, b) => a - b);
    const found = new Set();
    for (let i = 0; i < this.model.n; i++) {
      if (!this.has(i)) continue;
      const [u, v] = this.at(i);
      if (u >= left - 0.01 && u <= right + 0.01 && v >= top - 0.01 && v <= bottom + 0.01) found.add(i);
    }
    this.model.choose(found);
  }

  key(event) {
    const pointed = this.model.pointed;
    if (event.key === "Escape") {
      this.corner = -1;
      this.model.point(-1);
      this.model.choose(null);
      return;
    }
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (!this.has(pointed)) return;
      if (this.corner < 0) { this.corner = pointed; this.overlay(); return; }
      const other = this.corner;
      this.corner = -1;
      this.select(this.at(other), this.at(pointed));
      return;
    }
    const far = Math.max(10, Math.ceil(this.model.n / 40)), all = this.model.n;
    const way = { ArrowRight: ["x", 1], ArrowLeft: ["x", -1], ArrowUp: ["y", 1], ArrowDown: ["y", -1],
      PageUp: ["x", far], PageDown: ["x", -far], End: ["x", all], Home: ["x", -all] }[event.key];
    if (!way) return;
    event.preventDefault();
    const line = this.line(way[0]).filter((i) => this.model.lit(i)), now = line.indexOf(pointed);
    if (line.length) this.model.point(line[Math.min(line.length - 1, Math.max(0, now < 0 ? 0 : now + way[1]))]);
  }

  // All points from the smallest to the largest of one coordinate, sorted when first asked for.
  line(axis) {
    if (!this.lines[axis]) {
      const points = [...Array(this.model.n).keys()].filter((i) => this.has(i));
      const [first, second] = axis === "x" ? [this.x, this.y] : [this.y, this.x];
      this.lines[axis] = points.sort((i, j) => first[i] - first[j] || second[i] - second[j]);
    }
    return this.lines[axis];
  }

  px(value) { return 42 + (value / 100) * (this.width - 56); }

  py(value) { return this.height - 36 - (value / 100) * (this.height - 46); }

  paint() {
    const { canvas, dots, model } = this, scale = model.printing() ? 2 : window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    if (!this.width || !this.height) return; // not laid out, as in a window folded to nothing
    for (const each of [canvas, dots]) { each.width = this.width * scale; each.height = this.height * scale; }
    const g = dots.getContext("2d");
    g.scale(scale, scale);
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = model.ink();
    g.strokeStyle = "#8885";
    for (const tick of [0, 25, 50, 75, 100]) {
      g.beginPath();
      g.moveTo(this.px(tick), this.py(0)); g.lineTo(this.px(tick), this.py(100));
      g.moveTo(this.px(0), this.py(tick)); g.lineTo(this.px(100), this.py(tick));
      g.stroke();
      g.textAlign = "center";
      g.fillText(tick, this.px(tick), this.height - 22);
      g.textAlign = "right";
      g.fillText(tick, 37, this.py(tick) + 4);
    }
    g.textAlign = "center";
    g.fillText(this.across, (this.width + 30) / 2, this.height - 5);
    g.save();
    g.translate(11, (this.height - 36) / 2);
    g.rotate(-Math.PI / 2);
    g.fillText(this.up, 0, 0);
    g.restore();
    const size = model.n > 3000 ? 1.5 : 3;
    for (const wanted of [false, true]) {
      g.globalAlpha = wanted ? 0.8 : 0.07;
      for (let i = 0; i < model.n; i++) {
        if (model.lit(i) !== wanted || !this.has(i)) continue;
        const [u, v] = this.at(i);
        g.fillStyle = model.colour(i);
        if (model.n > 3000) { g.fillRect(u - size, v - size, 2 * size, 2 * size); continue; }
        g.beginPath();
        g.arc(u, v, size, 0, 7);
        g.fill();
      }
    }
    g.globalAlpha = 1;
    this.stairs(g);
    this.overlay();
  }

  // What no point beats in both aspects, joined as the border of what the points dominate.
  stairs(g) {
    g.strokeStyle = "#d55e00";
    g.lineWidth = 1.5;
    g.beginPath();
    this.front.forEach((i, k) => {
      const [u, v] = this.at(i);
      if (k) { g.lineTo(this.at(this.front[k - 1])[0], v); g.lineTo(u, v); } else g.moveTo(u, v);
    });
    g.stroke();
    for (const i of this.front) { g.beginPath(); g.arc(...this.at(i), 3.5, 0, 7); g.stroke(); }
  }

  overlay() {
    if (!this.dots.width || !this.dots.height) return;
    const g = this.canvas.getContext("2d"), pointed = this.model.pointed;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    g.drawImage(this.dots, 0, 0);
    const scale = this.canvas.width / (this.width || 1);
    g.scale(scale, scale);
    g.strokeStyle = this.model.ink();
    g.lineWidth = 2;
    if (this.has(pointed)) { g.beginPath(); g.arc(...this.at(pointed), 7, 0, 7); g.stroke(); }
    const corner = this.has(this.corner) ? this.at(this.corner) : null;
    const [from, to] = corner && this.has(pointed) ? [corner, this.at(pointed)] : [this.from, this.to];
    if (from && to) g.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
  }
}
