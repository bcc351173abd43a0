"""Charts as SVG that is part of the page: legible at every width, without scripts, light or dark.

A chart is drawn twice, for wide and for narrow screens, and the style sheet shows one of them, so
that letters never shrink. Lines differ in dash and marks in shape, not in colour alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.report.markup import Markup, join, tag
from cutaway.evaluation.report.scales import (
    LinearScale,
    LogScale,
    Number,
    Point,
    Scale,
    short_number,
    thinned,
)

FULL, HALF, NARROW = 940, 540, 296
"""Widths in pixels for which charts are drawn: across the page, beside another, on a phone."""

MOST_POINTS = 240
MOST_HOVERS = 40

KINDS = ("rival", "first", "before", "after")
"""Kinds of marks; a later one is drawn over an earlier one."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    """What the legend calls it."""
    points: Sequence[Point]
    """Places and values, in order of the places."""
    style: Literal["plain", "dashed", "faint"] = "plain"
    """How it is drawn; a faint one stands behind the others and has no marks."""
    colour: int = 1
    """Place in the palette, from 1."""


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Curves over the steps of a stage, or over something else that grows."""

    title: str
    """What is drawn, with its unit."""
    lines: Sequence[Line]
    """The curves; at least one has points."""
    scale: Literal["linear", "logarithmic"] = "linear"
    """A linear axis begins at 0."""
    minutes_at: Callable[[Number], Number | None] = lambda step: None
    """Minutes that had passed at a step, written below the steps."""
    place: str = "step"
    """What a number on the horizontal axis counts, in one word."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One measured value in a row of a chart."""

    name: str
    """What the legend calls it."""
    interval: Interval
    """The value and its bounds."""
    kind: Literal["rival", "first", "before", "after"]
    """A rival is a grey bar, before a ring, after a disc, and the first of three a dashed ring."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A labelled row of marks."""

    label: str
    """What was measured."""
    marks: Sequence[Mark]
    """The values."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A labelled bar with the value at its end."""

    label: str
    """What the value belongs to."""
    value: Number
    """Its length."""
    interval: Interval | None = None
    """Its bounds, where it was measured with some."""
    is_ours: bool = False
    """Whether it stands for the model and not for a rival."""


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """The axes of a line chart."""

    x: LinearScale
    y: Scale

    @property
    def box(self) -> tuple[Number, Number, Number, Number]:
        """Left, top, right and bottom."""
        return self.x.start, self.y.stop, self.x.stop, self.y.start


def at_widths(draw: Callable[[int], Markup], *, widest: int) -> Markup:
    """Returns a picture drawn for wide screens and for narrow ones, of which one is shown."""
    names = {FULL: "full", HALF: "half"}
    return join(
        [
            tag("div", [draw(widest)], css=f"picture {names[widest]}"),
            tag("div", [draw(NARROW)], css=f"picture narrow not-{names[widest]}"),
        ]
    )


def draw_lines(chart: LineChart, *, width: int) -> Markup:
    """Draws curves with a hidden column at every few steps that tells their values."""
    height = {FULL: 320, HALF: 230}.get(width, 220)
    frame = _frame(chart, width=width, height=height)
    lines = sorted(chart.lines, key=lambda line: line.style != "faint")
    return _svg(
        [
            _grid(frame, chart=chart, is_wide=width > NARROW),
            *(_curve(line, frame=frame) for line in lines if line.points),
            *_hovers(chart, frame=frame),
        ],
        label=chart.title,
        size=(width, height),
    )


def legend(lines: Sequence[Line]) -> Markup:
    """Says which curve is which."""
    return tag(
        "ul",
        [
            tag(
                "li",
                [
                    _svg(
                        [_path([(0, 6), (26, 6)], css=f"line {line.style} c{line.colour}")],
                        label="",
                        size=(26, 12),
                    ),
                    " ",
                    line.name,
                ],
            )
            for line in lines
        ],
        css="legend",
    )


def draw_rows(rows: Sequence[Row], *, label: str, width: int) -> Markup:
    """Draws shares from 0 to 1 with their bounds, one row each; larger ones stand at the edge."""
    is_wide = width > NARROW
    left, right = (130, 64) if is_wide else (8, 62)
    each = 30 if is_wide else 44
    x = LinearScale(low=0, high=1, start=left, stop=width - right)
    bottom = each * len(rows) + 6
    parts = [
        join(
            [
                _segment((x(tick), 4), (x(tick), bottom), css="grid"),
                _words(f"{tick:.0%}", at=(x(tick), bottom + 16), css="tick middle"),
            ]
        )
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    for place, row in enumerate(rows):
        middle = each * place + (20 if is_wide else 32)
        at = (left - 10, middle + 4) if is_wide else (left, middle - 12)
        parts.append(_words(row.label, at=at, css="name end" if is_wide else "name"))
        ordered = sorted(row.marks, key=lambda mark: KINDS.index(mark.kind))
        parts += [_mark(mark, x=x, middle=middle) for mark in ordered]
        if row.marks:
            last = f"{row.marks[-1].interval.value:.1%}"
            parts.append(_words(last, at=(width - right + 12, middle + 4), css="value after"))
    return _svg(parts, label=label, size=(width, bottom + 24))


def draw_bars(bars: Sequence[Bar], *, label: str, width: int) -> Markup:
    """Draws bars from 0, the value at the end of each."""
    is_wide = width > NARROW
    left, right, each = (230, 64, 32) if is_wide else (4, 56, 46)
    longest = max(max(bar.value, bar.interval.high if bar.interval else 0) for bar in bars)
    x = LinearScale(low=0, high=longest, start=left, stop=width - right)
    parts = []
    for place, bar in enumerate(bars):
        top = each * place + (6 if is_wide else 22)
        end = x(bar.interval.high if bar.interval else bar.value)
        at = (left - 10, top + 15) if is_wide else (left, top - 6)
        parts += [
            _words(bar.label, at=at, css="name end" if is_wide else "name"),
            _box((left, top), size=(max(1.0, x(bar.value) - left), 20), css=_bar_css(bar)),
            _whisker(bar.interval, x=x, middle=top + 10) if bar.interval else Markup(""),
            _words(f"{bar.value:.3f}", at=(end + 8, top + 15), css="value"),
        ]
    return _svg(parts, label=label, size=(width, each * len(bars) + 8))


def draw_parts(parts: Sequence[tuple[str, Number]], *, label: str, width: int) -> Markup:
    """Draws how a whole is divided: one bar, cut into parts in the palette's order."""
    total = sum(size for _, size in parts) or 1.0
    start, drawn = 0.0, []
    for place, (name, size) in enumerate(parts):
        length = size / total * width
        title = tag("title", f"{name}: {size:.2f} min ({size / total:.0%})")
        shape = _box((start, 0), size=(max(0.5, length - 2), 26), css=f"part p{place % 6 + 1}")
        drawn.append(tag("g", [title, shape]))
        start += length
    return _svg(drawn, label=label, size=(width, 26))


def _frame(chart: LineChart, *, width: int, height: int) -> _Frame:
    points = [point for line in chart.lines for point in line.points]
    places, values = [x for x, _ in points], [y for _, y in points]
    left, right, top, bottom = 42, 26, 8, 46
    x = LinearScale(low=0, high=max(places, default=1) or 1, start=left, stop=width - right)
    low, high = min(values, default=0), max(values, default=1)
    start, stop = float(height - bottom), float(top)
    if chart.scale == "logarithmic" and low > 0:
        y: Scale = LogScale(low=low / 1.06, high=high * 1.04, start=start, stop=stop)
    else:
        y = LinearScale(low=min(0.0, low), high=high * 1.05 or 1.0, start=start, stop=stop)
    return _Frame(x=x, y=y)


def _grid(frame: _Frame, *, chart: LineChart, is_wide: bool) -> Markup:
    left, _, right, bottom = frame.box
    parts = []
    for value in frame.y.ticks(5):
        y = frame.y(value)
        parts.append(_segment((left, y), (right, y), css="grid"))
        parts.append(_words(short_number(value), at=(left - 7, y + 4), css="tick end"))
    for step in frame.x.ticks(5 if is_wide else 4):
        x = frame.x(step)
        parts.append(_words(short_number(step), at=(x, bottom + 17), css="tick middle"))
        spent = chart.minutes_at(step)
        if spent is not None and step > 0:
            parts.append(_words(f"{spent:.1f} min", at=(x, bottom + 33), css="tick faint middle"))
    parts.append(_words(chart.place, at=(left - 10, bottom + 17), css="tick end"))
    parts.append(_segment((left, bottom), (right, bottom), css="axis"))
    return join(parts)


def _curve(line: Line, *, frame: _Frame) -> Markup:
    points = [(frame.x(x), frame.y(y)) for x, y in thinned(line.points, most=MOST_POINTS)]
    css = f"line {line.style} c{line.colour}"
    drawn = [_path(points, css=css)] if len(points) > 1 else []
    if line.style == "dashed" or len(points) == 1:
        drawn += [
            tag("circle", attributes={"cx": x, "cy": y, "r": 3, "class": f"dot c{line.colour}"})
            for x, y in thinned(points, most=40)
        ]
    return join(drawn)


def _hovers(chart: LineChart, *, frame: _Frame) -> list[Markup]:
    """Returns invisible columns; under the mouse each shows where it is and what the curves say."""
    told = [line for line in chart.lines if line.points and line.style != "faint"]
    places = sorted({x for line in told for x, _ in line.points})
    if not places:
        return []
    shown = [places[round(k * (len(places) - 1) / (MOST_HOVERS - 1))] for k in range(MOST_HOVERS)]
    shown = list(dict.fromkeys(shown))
    _, top, _, bottom = frame.box
    edges = [(frame.x(low) + frame.x(high)) / 2 for low, high in pairwise(shown)]
    bounds = [frame.x.start, *edges, frame.x.stop]
    columns = []
    for step, (left, right) in zip(shown, pairwise(bounds), strict=True):
        spent = chart.minutes_at(step)
        at = f"{chart.place} {short_place(step, unit=chart.place)}"
        words = [at + ("" if spent is None else f", {spent:.1f} min")]
        words += [f"{line.name}: {short_value(_value_at(line.points, step))}" for line in told]
        x = frame.x(step)
        columns.append(
            tag(
                "g",
                [
                    tag("title", "\n".join(words)),
                    _box((left, top), size=(max(1.0, right - left), bottom - top), css="catch"),
                    _segment((x, top), (x, bottom), css="cursor"),
                ],
                css="hover",
            )
        )
    return columns


def short_value(value: Number) -> str:
    """Writes a value of a curve: four digits, or as on the axis where it is very large or small."""
    return f"{value:.4g}" if 0.001 <= abs(value) < 10_000 else short_number(value)


def short_place(value: Number, *, unit: str) -> str:
    """Writes a place on the horizontal axis: a step whole, anything else as a value."""
    return f"{value:,.0f}" if unit == "step" else short_value(value)


def _value_at(points: Sequence[Point], step: Number) -> Number:
    """Returns the value of the nearest point."""
    place = bisect_left([x for x, _ in points], step)
    near = points[max(0, place - 1) : place + 1]
    return min(near, key=lambda point: abs(point[0] - step))[1]


def _mark(mark: Mark, *, x: Scale, middle: Number) -> Markup:
    at, interval = x(mark.interval.value), mark.interval
    words = f"{mark.name}: {interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
    if mark.kind == "rival":
        shape = _segment((at, middle - 8), (at, middle + 8), css="rival")
        return tag("g", [tag("title", words), shape])
    shape = tag("circle", attributes={"cx": at, "cy": middle, "r": 5.5, "class": mark.kind})
    low, high = x(interval.low), x(interval.high)
    bounds = _segment((low, middle), (high, middle), css=f"bounds {mark.kind}")
    return tag("g", [tag("title", words), bounds, shape])


def _whisker(interval: Interval, *, x: Scale, middle: Number) -> Markup:
    low, high = x(interval.low), x(interval.high)
    return join(
        [
            _segment((low, middle), (high, middle), css="whisker"),
            _segment((low, middle - 4), (low, middle + 4), css="whisker"),
            _segment((high, middle - 4), (high, middle + 4), css="whisker"),
        ]
    )


def _bar_css(bar: Bar) -> str:
    return "bar ours" if bar.is_ours else "bar theirs"


def _svg(content: Sequence[Markup], *, label: str, size: Point) -> Markup:
    width, height = size
    role = {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
    box = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    return tag("svg", content, attributes=box | role)


def _path(points: Sequence[Point], *, css: str) -> Markup:
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", attributes={"d": f"M{steps}", "class": css})


def _segment(start: Point, stop: Point, *, css: str) -> Markup:
    ends = {"x1": start[0], "y1": start[1], "x2": stop[0], "y2": stop[1]}
    return tag("line", attributes=ends | {"class": css})


def _box(corner: Point, *, size: Point, css: str) -> Markup:
    place = {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1]}
    return tag("rect", attributes=place | {"class": css})


def _words(words: str, *, at: Point, css: str) -> Markup:
    return tag("text", words, attributes={"x": at[0], "y": at[1], "class": css})
