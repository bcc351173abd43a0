"""The part of the page about alignment: what the reward did, at what distance from the start."""

from collections.abc import Sequence

from cutaway.evaluation.report import wording
from cutaway.evaluation.report.history import FOLLOWING, StageHistory
from cutaway.evaluation.report.markup import Markup, tag
from cutaway.evaluation.report.pictures import Line
from cutaway.evaluation.report.scales import smoothed
from cutaway.evaluation.report.sections import NOTHING, chart, section, table


def alignment_section(histories: Sequence[StageHistory]) -> Markup:
    """Reward, distance and length over the steps; truth over distance; who wins."""
    told = [history for history in histories if history.stage in FOLLOWING]
    figures = [figure for history in told for figure in _curves(history)]
    tables = [facts for history in told for facts in _trial(history)]
    if not figures and not tables:
        return NOTHING
    distances = [part for history in told for part in _by_distance(history)]
    lead = tag("p", wording.ALIGNMENT_LEAD, css="lead")
    return section("alignment", [lead, *distances, *tables, tag("div", figures, css="pair")])


def turning_point(history: StageHistory) -> str:
    """Says at which distance the truth was best, and what became of it beyond."""
    looks = _looks(history)
    if len(looks) < 3 or "truth" not in looks[0]:
        return ""
    best = max(looks, key=lambda look: look["truth"])
    beyond = [look for look in looks if look["held_out_kl"] > best["held_out_kl"]]
    if not beyond:
        return wording.NO_TURN.format(best=best["truth"], at=best["held_out_kl"])
    last = max(beyond, key=lambda look: look["held_out_kl"])
    places = {
        "best": best["truth"],
        "at": best["held_out_kl"],
        "last": last["truth"],
        "far": last["held_out_kl"],
    }
    if "held_out_reward" not in last:  # judgements alone are followed
        return wording.FALL_ALONE.format(**places)
    reward, risen = best["held_out_reward"], last["held_out_reward"]
    words = wording.TURN if risen > reward else wording.FALL
    return words.format(reward=reward, risen=risen, **places)


def _looks(history: StageHistory) -> list[dict[str, float]]:
    """The looks at held-out prompts, by their distance from the start."""
    names = ("held_out_kl", "held_out_reward", "truth")
    found = [
        {name: float(row[name]) for name in names if name in row}
        for row in history.rows
        if "held_out_kl" in row and not row.keys().isdisjoint(names[1:])
    ]
    return sorted(found, key=lambda look: look["held_out_kl"])


def _by_distance(history: StageHistory) -> list[Markup]:
    """Reward and truth over the distance from the start: where they part, it goes too far."""
    looks = _looks(history)
    if len(looks) < 3:
        return []
    figures = []
    for field, title, colour in wording.DISTANCE_CURVES:
        points = [(look["held_out_kl"], look[field]) for look in looks if field in look]
        if points:
            line = Line(name=title.lower(), points=points, style="dashed", colour=colour)
            name = f"{title}, {wording.stage_name(history.stage)}"
            figures.append(chart(name, [line], place=wording.NATS))
    words = turning_point(history)
    said = [tag("p", words, css="lead")] if words else []
    return [*said, tag("div", figures, css="pair")]


def _curves(history: StageHistory) -> list[Markup]:
    figures = []
    for field, title, colour in wording.ALIGNMENT_CURVES:
        points = history.series(field)
        if len(points) > 1:
            window = max(1, min(20, len(points) // 10))
            lines = [Line(name=title, points=smoothed(points, window=window), colour=colour)]
            if window > 1:
                faint = Line(name=wording.TRAINING, points=points, style="faint", colour=colour)
                lines.append(faint)
            figures.append(
                chart(f"{title}, {wording.stage_name(history.stage)}", lines, history=history)
            )
    return figures


def _trial(history: StageHistory) -> list[Markup]:
    """The looks at held-out prompts as rows, by their distance, and the last comparison."""
    found = []
    looks = [
        [f"{row['step']:,.0f}", *(_cell(row.get(name)) for name, _ in wording.LOOK_COLUMNS)]
        for row in history.rows
        if any(name in row for name, _ in wording.LOOK_COLUMNS)
    ]
    if looks:
        columns = ["step", *(title for _, title in wording.LOOK_COLUMNS)]
        found.append(table(columns, looks, caption=wording.LOOKS))
    trials = [row for row in history.rows if "win_rate" in row]
    if trials:
        last = trials[-1]
        rows = [
            [
                wording.WINS,
                f"{last['win_rate']:.1%} ({last['win_rate_low']:.1%} to "
                f"{last['win_rate_high']:.1%})",
            ],
            [wording.DISTANCE, f"{last['trial_kl']:.2f}"],
            [wording.WORTH, f"{last['trial_before']:.3f} → {last['trial_after']:.3f}"],
        ]
        found.append(table(["measure", "value"], rows, caption=wording.TRIAL, css="slim"))
    return found


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
