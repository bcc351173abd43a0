"""Charts are well-formed, say what they show, and keep everything inside their frame."""

import xml.etree.ElementTree as ET

import pytest

from cutaway.evaluation.intervals import Interval, wilson
from cutaway.evaluation.report.pictures import (
    FULL,
    HALF,
    NARROW,
    Bar,
    Line,
    LineChart,
    Mark,
    Row,
    draw_bars,
    draw_lines,
    draw_parts,
    draw_rows,
    legend,
)

CURVE = [(float(step), 7.6 / (1 + step / 100)) for step in range(0, 1000, 3)]
LINES = [
    Line(name="training", points=CURVE),
    Line(name="single steps", points=CURVE, style="faint"),
    Line(name="validation", points=CURVE[::50], style="dashed", colour=2),
]


def drawings(width):
    chart = LineChart(
        title="Loss", lines=LINES, scale="logarithmic", minutes_at=lambda step: step / 60
    )
    rows = [
        Row(
            label="dates",
            marks=[
                Mark(name="trivial", interval=wilson(0, 9), kind="rival"),
                Mark(name="before", interval=Interval(value=1.4, low=1.2, high=1.7), kind="before"),
                Mark(name="after", interval=wilson(9, 9), kind="after"),
            ],
        ),
        Row(label="nothing yet", marks=[]),
    ]
    bars = [
        Bar(label="gzip -9", value=2.24),
        Bar(label="ours", value=1.1, interval=wilson(5, 9), is_ours=True),
    ]
    return {
        "lines": draw_lines(chart, width=width),
        "rows": draw_rows(rows, label="Skills", width=width),
        "bars": draw_bars(bars[:1], label="Bits", width=width),
        "parts": draw_parts([("pretrain", 5.0), ("finetune", 2.0)], label="Time", width=width),
    }


@pytest.mark.parametrize("width", [FULL, HALF, NARROW])
@pytest.mark.parametrize("kind", ["lines", "rows", "bars", "parts"])
def test_a_chart_is_an_image_with_a_name(width, kind):
    root = ET.fromstring(drawings(width)[kind])
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.get("viewBox", "").startswith(f"0 0 {width} ")


@pytest.mark.parametrize("width", [FULL, HALF, NARROW])
@pytest.mark.parametrize("kind", ["lines", "rows", "bars", "parts"])
def test_nothing_is_drawn_outside_the_frame(width, kind):
    root = ET.fromstring(drawings(width)[kind])
    height = float(root.get("height"))
    for part in root.iter():
        across = [float(part.get(name)) for name in ("x", "x1", "x2", "cx") if part.get(name)]
        down = [float(part.get(name)) for name in ("y", "y1", "y2", "cy") if part.get(name)]
        assert all(0 <= place <= width for place in across)
        assert all(0 <= place <= height for place in down)


@pytest.mark.parametrize("width", [FULL, HALF, NARROW])
@pytest.mark.parametrize("kind", ["lines", "rows", "bars"])
def test_words_stay_inside_and_apart(width, kind):
    root = ET.fromstring(drawings(width)[kind])
    boxes = [box_of(part) for part in root.iter("text")]
    for left, right, _, _ in boxes:
        assert left >= -1
        assert right <= width + 1
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert (
                one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
            )


def overlap(one, other):
    is_apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    return not is_apart


def box_of(part):
    """Left, right, top and bottom of a text, with letters of six pixels and a half."""
    length, x, y = 6.5 * len(part.text), float(part.get("x")), float(part.get("y"))
    css = part.get("class").split()
    left = x - length if "end" in css else x - length / 2 if "middle" in css else x
    return left, left + length, y - 9, y + 2


def test_values_are_told_under_the_mouse():
    root = ET.fromstring(drawings(HALF)["lines"])
    titles = [title.text for title in root.iter("title")]
    assert titles[0] == "step 0, 0.0 min\ntraining: 7.6\nvalidation: 7.6"
    assert len(titles) <= 40


def test_a_curve_of_one_point_is_a_dot():
    chart = LineChart(title="Loss", lines=[Line(name="validation", points=[(5.0, 2.0)])])
    assert len(list(ET.fromstring(draw_lines(chart, width=HALF)).iter("circle"))) == 1


def test_a_curve_that_never_changes_can_be_drawn():
    lines = [Line(name="rate", points=[(0.0, 0.0), (1.0, 0.0)])]
    ET.fromstring(draw_lines(LineChart(title="Rate", lines=lines), width=HALF))


def test_the_legend_names_every_line():
    words = "".join(ET.fromstring(legend(LINES)).itertext())
    assert all(line.name in words for line in LINES)
