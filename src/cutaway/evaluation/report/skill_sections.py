"""The parts of the page about skills: the chart, the figures, the answers, and the prompts."""

from collections.abc import Sequence
from typing import Literal

from cutaway.evaluation.report import wording
from cutaway.evaluation.report.markup import Markup, join, tag
from cutaway.evaluation.report.pictures import FULL, Mark, Row, at_widths, draw_rows
from cutaway.evaluation.report.sections import NOTHING, section, table
from cutaway.evaluation.report.wording import skill_name, stage_name
from cutaway.evaluation.skills import Answered, SkillResult, SkillScore

MOST_ANSWERS = 6
RIVAL = "trivial answer"


def skills_section(skills: Sequence[SkillResult]) -> Markup:
    """Every skill beside its trivial answer, before and after."""
    if not skills:
        return NOTHING
    stages = _stages(skills)
    parts = [tag("p", wording.SKILLS_LEAD, css="lead")]
    for metric, label in (
        ("exact", wording.EXACT_LABEL),
        ("phoneme_error_rate", wording.RATE_LABEL),
    ):
        chosen = [skill for skill in skills if skill.metric == metric]
        if chosen:
            parts.append(_chart(chosen, stages=stages, label=label))
    parts.append(_figures(skills, stages=stages))
    answers = [_answers(skill) for skill in skills if skill.stages]
    parts += [tag("h3", wording.ANSWERS), tag("div", answers, css="answers")]
    return section("skills", parts)


def prompts_section(skills: Sequence[SkillResult]) -> Markup:
    """The forms of prompt side by side, where a stage was asked in more than one."""
    stages = {
        stage: list(
            dict.fromkeys(score.form for skill in skills for score in skill.stages.get(stage, ()))
        )
        for stage in dict.fromkeys(stage for skill in skills for stage in skill.stages)
    }
    tables = []
    for stage, forms in stages.items():
        if len(forms) < 2:
            continue
        rows = []
        for skill in skills:
            scores = {score.form: score for score in skill.stages.get(stage, ())}
            cells = [_value(scores.get(form)) for form in forms]
            rows.append([skill_name(skill.name), f"{skill.baseline.value:.1%}", *cells])
        caption = f"Forms of prompt, {stage_name(stage)}"
        tables.append(table(["skill", RIVAL, *forms], rows, caption=caption))
    if not tables:
        return NOTHING
    return section("prompts", [tag("p", wording.PROMPTS_LEAD, css="lead"), *tables])


def _stages(skills: Sequence[SkillResult]) -> list[str]:
    return list(dict.fromkeys(stage for skill in skills for stage in skill.stages))


def _kind(stage: str, stages: Sequence[str]) -> Literal["first", "before", "after"]:
    """Says how a stage is drawn: the last one stands out, and no two are alike."""
    if stage == stages[-1]:
        return "after"
    return "before" if stage == stages[-2] else "first"


def _chart(skills: Sequence[SkillResult], *, stages: Sequence[str], label: str) -> Markup:
    rows = [
        Row(
            label=skill_name(skill.name),
            marks=[
                Mark(name=RIVAL, interval=skill.baseline, kind="rival"),
                *(
                    Mark(
                        name=stage_name(stage),
                        interval=skill.best(stage).value,
                        kind=_kind(stage, stages),
                    )
                    for stage in skill.stages
                ),
            ],
        )
        for skill in skills
    ]
    kinds = [("rival", RIVAL), *((_kind(stage, stages), stage_name(stage)) for stage in stages)]
    keys = [tag("li", [tag("i", css=f"key {kind}"), " ", name]) for kind, name in kinds]
    picture = at_widths(lambda width: draw_rows(rows, label=label, width=width), widest=FULL)
    content = [tag("figcaption", label), tag("ul", keys, css="legend"), picture]
    return tag("figure", content, css="card")


def _figures(skills: Sequence[SkillResult], *, stages: Sequence[str]) -> Markup:
    rows = [
        [
            skill_name(skill.name),
            f"{skill.baseline.value:.1%}",
            *(_value(skill.best(stage) if stage in skill.stages else None) for stage in stages),
            wording.METRICS.get(skill.metric, skill.metric),
        ]
        for skill in skills
    ]
    columns = ["skill", RIVAL, *(stage_name(stage) for stage in stages), "measure"]
    return table(columns, rows, caption="Skills, with 95% intervals and the number of questions")


def _value(score: SkillScore | None) -> Markup:
    if score is None:
        return join("–")
    value = score.value
    bounds = f"{value.low:.1%} to {value.high:.1%}, n {score.n}"
    return join([tag("b", f"{value.value:.1%}"), " ", tag("small", bounds)])


def _answers(skill: SkillResult) -> Markup:
    score = skill.best(next(reversed(skill.stages)))
    items = [
        tag(
            "li",
            [
                tag("p", item.question, css="asked"),
                tag("p", item.answer or wording.NO_TEXT, css="said"),
                _verdict(item),
            ],
            css="right" if item.is_right else "wrong",
        )
        for item in _chosen(score.answered)
    ]
    title = tag("summary", [tag("b", skill_name(skill.name)), f" {score.value.value:.1%}"])
    return tag("details", [title, tag("ol", items)], css="card")


def _verdict(item: Answered) -> Markup:
    if item.is_right:
        return tag("p", f"✓ {wording.RIGHT}", css="verdict")
    last = (item.reference.strip().splitlines() or [""])[-1]
    return tag("p", [f"✗ {wording.WRONG}; expected ", tag("bdi", last)], css="verdict")


def _chosen(answered: Sequence[Answered]) -> list[Answered]:
    """Returns a few answers in the order asked, with wrong ones among them where there are any."""
    wrong = [item for item in answered if not item.is_right][: MOST_ANSWERS // 3]
    right = [item for item in answered if item.is_right][: MOST_ANSWERS - len(wrong)]
    more = [item for item in answered if not item.is_right and item not in wrong]
    return [*right, *wrong, *more][:MOST_ANSWERS]
