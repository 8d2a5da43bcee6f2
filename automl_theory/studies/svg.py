"""Small charts as SVG text in the page's own colours (CSS variables), so that they follow dark mode and print."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 44, 44
COLD, MIDDLE, WARM = (31, 119, 180), (140, 140, 150), (213, 94, 0)
STROKES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c96")
"""Okabe and Ito's colour-blind-safe palette, in an order of contrast on white and on black."""


@dataclass(frozen=True)
class Scale:
    """From numbers in [low, high] to pixels in [start, end], linearly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a number, to a tenth."""
        a, b, v = map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.start + (v - a) / (b - a) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Three to six round numbers within the scale; powers of ten, with 2 and 5 between where there are few."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for steps in ((1,), (1, 3), (1, 2, 5)):
                found = [s * 10.0**k for k in range(first, last + 1) for s in steps]
                found = [v for v in found if self.low <= v <= self.high]
                if len(found) >= 3:
                    break
            return found[:: max(1, math.ceil(len(found) / 6))]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 3))
        step *= next(s for s in (5, 2.5, 2, 1) if (self.high - self.low) / (s * step) >= 3 or s == 1)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step + 0.0 for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale(values: Iterable[float], start: float, end: float, *, log: bool | None = None, margin: float = 0.06) -> Scale:
    """A scale around the finite values, logarithmic if all are positive and over two decades (or as said)."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    log = (low > 0 and high / low > 100) if log is None else log and low > 0
    if log:
        factor = (high / low) ** margin if high > low else 2.0
        return Scale(low / factor, high * factor, start, end, True)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def number(value: float) -> str:
    """Three significant digits, whole numbers from 1,000 on, with a real minus sign; "–" for NaN."""
    if math.isnan(value):
        return "–"
    if 1e3 <= abs(value) < 1e5:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.1e}".replace(".0e", "e")
    return re.sub(r"e\+?(-?)0*", r"e\1", text).replace("-", "−")


def colour(share: float) -> str:
    """From blue (0) over grey to orange (1)."""
    first, second, t = (COLD, MIDDLE, 2 * share) if share < 0.5 else (MIDDLE, WARM, 2 * share - 1)
    return "#" + "".join(
        f"{round(a + (b - a) * min(max(t, 0.0), 1.0)):02x}" for a, b in zip(first, second, strict=True)
    )


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start", turn: str = "") -> str:
    """A piece of text; `kind` is a class of the page's style."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{style}{turn}>{escape(said)}</text>'


def circle(x: float, y: float, radius: float, fill: str, said: str, opacity: float = 1.0, ring: bool = False) -> str:
    """A dot that tells `said` under the pointer."""
    line = ' class="ring"' if ring else ""
    return (
        f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{fill}" fill-opacity="{opacity:.2f}"{line}>'
        f"<title>{escape(said)}</title></circle>"
    )


def polyline(points: Sequence[tuple[float, float]], stroke: str, width: float = 1.8, dash: str = "") -> str:
    """A line through points."""
    path = " ".join(f"{x},{y}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashes}/>'


def horizontal(values: Iterable[float], *, log: bool | None = None) -> Scale:
    """The scale of a chart's x axis."""
    return scale(values, LEFT, WIDTH - RIGHT, log=log)


def vertical(values: Iterable[float], *, log: bool | None = None) -> Scale:
    """The scale of a chart's y axis."""
    return scale(values, HEIGHT - BOTTOM, TOP, log=log)


def chart(
    name: str, title: str, beneath: str, x: Scale, y: Scale, labels: tuple[str, str], body: Sequence[str],
    legend: Sequence[tuple[str, ...]] = (),
) -> str:  # fmt: skip
    """A chart: title, a smaller line below it, two axes with grid and labels, what is drawn in it, a legend below.

    `name` is its id in the page, `legend` (words, stroke, dash or none). A reader's software hears both lines.
    """
    height = HEIGHT + 16 * math.ceil(len(legend) / 2)
    parts = [
        f'<svg id="figure-{escape(name)}" class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(f"{title}; {beneath}")}">',
        text(6, 15, title, "title"),
        text(6, 31, beneath, "small"),
    ]
    for value in x.ticks():
        at = x(value)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(text(at, HEIGHT - BOTTOM + 15, number(value), "tick", "middle"))
    for value in y.ticks():
        at = y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(text(LEFT - 6, at + 4, number(value), "tick", "end"))
    middle, across = (HEIGHT - BOTTOM + TOP) / 2, (LEFT + WIDTH - RIGHT) / 2
    parts.append(text(across, HEIGHT - 8, labels[0] + (" (log)" if x.log else ""), "", "middle"))
    turn = f' transform="rotate(-90 12 {middle})"'
    parts.append(text(12, middle, labels[1] + (" (log)" if y.log else ""), "", "middle", turn))
    for place, (words, stroke, *dash) in enumerate(legend):
        left, down = 10 + (WIDTH - 10) / 2 * (place % 2), HEIGHT + 10 + 16 * (place // 2)
        parts.append(polyline([(left, down - 4), (left + 16, down - 4)], stroke, 3, *dash))
        parts.append(text(left + 22, down, words, "legend"))
    return "".join([*parts, *body, "</svg>"])
