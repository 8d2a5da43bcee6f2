"""Charts that studies share, data first: lines with bands, intervals under each other, dots with a fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from automl_theory.studies import svg

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A line with a band: x, middle, low and high have one length; a NaN in middle leaves a point out."""

    label: str
    x: Floats
    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Dots:
    """Dots of one colour: what each is, said under the pointer."""

    label: str
    x: Floats
    y: Floats
    said: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """A row of an interval chart: value within [low, high]; NaN ends: none could be given."""

    label: str
    value: float
    low: float
    high: float


def draw_lines(
    lines: Sequence[Line], name: str, title: str, beneath: str, labels: tuple[str, str], *,
    log: tuple[bool, bool] = (False, False), level: float | None = None, dots: bool = True,
) -> str:  # fmt: skip
    """Lines with their bands and a legend below; `level` is a dashed horizontal line."""
    finite = [np.isfinite(line.middle) for line in lines]
    x = svg.horizontal((v for line, f in zip(lines, finite, strict=True) for v in line.x[f]), log=log[0])
    ends = [v for line, f in zip(lines, finite, strict=True) for v in (*line.middle[f], *line.low[f], *line.high[f])]
    y = svg.vertical([*ends, *([] if level is None else [level])], log=log[1])
    body = [] if level is None else [_across(x, y, level)]
    for number, (line, fine) in enumerate(zip(lines, finite, strict=True)):
        stroke, dash = stroke_of(number)
        xs, low, mid, high = (v[fine] for v in (line.x, line.low, line.middle, line.high))
        known = np.isfinite(low) & np.isfinite(high)
        band = [(x(a), y(b)) for a, b in zip(xs[known], low[known], strict=True)]
        band += [(x(a), y(b)) for a, b in zip(xs[known][::-1], high[known][::-1], strict=True)]
        if len(band) > 2:
            area = " ".join(f"{a},{b}" for a, b in band)
            body.append(f'<polygon points="{area}" fill="{stroke}" fill-opacity="{0.18 if len(lines) < 5 else 0.06}"/>')
        body.append(svg.polyline([(x(a), y(b)) for a, b in zip(xs, mid, strict=True)], stroke, dash=dash))
        for a, b in zip(xs, mid, strict=True) if dots else ():
            said = f"{line.label}: {svg.number(float(b))} at {svg.number(float(a))}"
            body.append(svg.circle(x(a), y(b), 2.6, stroke, said))
    legend = [(line.label, *stroke_of(k)) for k, line in enumerate(lines)]
    return svg.chart(name, title, beneath, x, y, labels, body, legend)


def draw_dots(
    groups: Sequence[Dots], name: str, title: str, beneath: str, labels: tuple[str, str], *,
    fits: Sequence[tuple[Floats, Floats, str]] = (), log: tuple[bool, bool] = (False, False),
) -> str:  # fmt: skip
    """Dots, a colour a group, and fitted curves (x, y, dash) through them."""
    x = svg.horizontal((v for group in groups for v in group.x), log=log[0])
    y = svg.vertical((v for group in groups for v in group.y), log=log[1])
    body = []
    for number, group in enumerate(groups):
        stroke = svg.STROKES[number % len(svg.STROKES)]
        hollow = number >= len(svg.STROKES)
        for a, b, said in zip(group.x, group.y, group.said, strict=True):
            body.append(svg.circle(x(a), y(b), 3.0, stroke, said, 0.35 if hollow else 0.8, hollow))
    for xs, ys, dash in fits:
        inside = (ys >= y.low) & (ys <= y.high)
        points = [(x(a), y(b)) for a, b in zip(xs[inside], ys[inside], strict=True)]
        body.append(svg.polyline(points, "var(--ink)", 1.4, dash))
    legend = [(group.label, svg.STROKES[k % len(svg.STROKES)]) for k, group in enumerate(groups)]
    return svg.chart(name, title, beneath, x, y, labels, body, legend)


def draw_intervals(
    rows: Sequence[Interval], name: str, title: str, beneath: str, label: str, *, zero: float | None = 0.0
) -> str:
    """A row each: a dot in its interval, words on the left; `zero` is a dashed vertical line."""
    left, step, top = max(150, 12 + 6 * max((len(row.label) for row in rows), default=0)), 22, 44
    foot = top + step * max(len(rows), 1)
    ends = [v for row in rows for v in (row.low, row.value, row.high)] + ([] if zero is None else [zero])
    x = svg.scale(ends, left, svg.WIDTH - svg.RIGHT, log=False)
    parts = [
        f'<svg id="figure-{escape(name)}" class="chart" viewBox="0 0 {svg.WIDTH} {foot + 40}" role="img" '
        f'aria-label="{escape(f"{title}; {beneath}")}">',
        svg.text(6, 15, title, "title"),
        svg.text(6, 31, beneath, "small"),
    ]
    for value in x.ticks():
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{top}" y2="{foot}"/>')
        parts.append(svg.text(x(value), foot + 15, svg.number(value), "tick", "middle"))
    if zero is not None:
        parts.append(svg.polyline([(x(zero), top), (x(zero), foot)], "var(--faint)", 1.2, "4 3"))
    for k, row in enumerate(rows):
        at = top + step * (k + 0.5)
        parts.append(svg.text(left - 8, at + 4, row.label, "legend", "end"))
        if math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(svg.polyline([(x(row.low), at), (x(row.high), at)], "var(--accent)", 2.4))
        if math.isfinite(row.value):
            said = f"{row.label}: {svg.number(row.value)} ({svg.number(row.low)} to {svg.number(row.high)})"
            parts.append(svg.circle(x(row.value), at, 3.6, "var(--accent)", said))
    parts.append(svg.text((left + svg.WIDTH - svg.RIGHT) / 2, foot + 33, label, "", "middle"))
    return "".join([*parts, "</svg>"])


def interval_bar(ours: float, low: float, high: float, theirs: float = math.nan) -> str:
    """A cell of a table over [−1, 1]: our interval as a line with a dot, another value as a diamond."""
    scale = svg.Scale(-1.0, 1.0, 6, 154)
    parts = ['<svg class="bar" viewBox="0 0 160 20" aria-hidden="true">']
    parts += [f'<line class="grid" x1="{scale(v)}" x2="{scale(v)}" y1="2" y2="18"/>' for v in (-1, 0, 1)]
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f'<line class="ours" x1="{scale(low)}" x2="{scale(high)}" y1="10" y2="10"/>')
    if math.isfinite(ours):
        parts.append(f'<circle class="ours" cx="{scale(ours)}" cy="10" r="3.5"/>')
    if math.isfinite(theirs):
        parts.append(f'<path class="theirs" d="M{scale(theirs)} 4.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>')
    return "".join([*parts, "</svg>"])


def stroke_of(number: int) -> tuple[str, str]:
    """Colour and dash of the line with this number: dashed after the palette's end."""
    return svg.STROKES[number % len(svg.STROKES)], "" if number < len(svg.STROKES) else "5 3"


def _across(x: svg.Scale, y: svg.Scale, level: float) -> str:
    return svg.polyline([(x.start, y(level)), (x.end, y(level))], "var(--faint)", 1.2, "4 3")
