"""What a run's numbers say to someone who has seen many runs: normal, or worth a look."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from cutaway.evaluation.report.card import BASE, FINETUNED, ReportCard
from cutaway.evaluation.report.history import FOLLOWING, StageHistory
from cutaway.evaluation.report.wording import MEASURES, RIVALS, skill_name, stage_name

FIRST_LOSS_TOLERANCE = 0.7  # nats
RISE_TOLERANCE = 0.01  # share of the lowest validation loss
SPEED_TOLERANCE = 0.15  # share of the first quarter's tokens a second
FORGETTING_TOLERANCE = 0.05  # bits per byte


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One sentence or two about a run."""

    is_fine: bool
    """Whether healthy runs look like this."""
    words: str
    """What was seen, and what it means."""


def observe(card: ReportCard, histories: Sequence[StageHistory]) -> list[Observation]:
    """Returns what can be said about a run; what it lacks is passed over."""
    seen: list[Observation] = []
    for place, history in enumerate(histories):
        # What follows judgements has a loss of another kind.
        if place == 0 and card.model and history.stage not in FOLLOWING:
            seen += _first_loss(history, vocab_size=card.model.vocab_size)
        seen += _validation(history)
        seen += _broken(history)
        if history.stage in FOLLOWING:
            seen += _warnings(history)
        else:
            seen += _speed(history)
    seen += _text(card)
    seen += _skills(card)
    seen += _pairs(card)
    seen += _forgotten(card)
    seen += [Observation(is_fine=False, words=remark) for remark in card.remarks]
    return seen


def _first_loss(history: StageHistory, *, vocab_size: int) -> Iterator[Observation]:
    losses = history.series("loss")
    if not losses:
        return
    step, first = losses[0]
    even = math.log(vocab_size)
    ruler = f"A model that knows nothing pays ln {vocab_size:,} = {even:.2f} nats a token"
    if first > even + FIRST_LOSS_TOLERANCE:
        words = (
            f"{ruler}, but the first loss was {first:.2f}: the model began by being sure of wrong "
            "things. Its first weights are too large, or the learning rate starts too high."
        )
        yield Observation(is_fine=False, words=words)
    elif first >= even - FIRST_LOSS_TOLERANCE:
        words = f"{ruler}; the first loss was {first:.2f}, so training began where it should."
        yield Observation(is_fine=True, words=words)
    else:
        words = f"{ruler}; at step {step:,.0f}, the first one written, the loss was {first:.2f}."
        yield Observation(is_fine=True, words=words)


def _validation(history: StageHistory) -> Iterator[Observation]:
    yield from _rising(history, field="validation_loss", called="Validation loss")
    if history.stage == "pretrain":
        yield from _rising(history, field="bits_per_byte", called="Bits per byte of held-out text")
    else:
        yield from _forgetting(history)


def _forgetting(history: StageHistory) -> Iterator[Observation]:
    """Says where later training has cost much of the text; a little is paid by every run."""
    bits = history.series("bits_per_byte")
    if len(bits) > 1 and bits[-1][1] > bits[0][1] + FORGETTING_TOLERANCE:
        words = (
            f"Bits per byte of held-out text rose from {bits[0][1]:.3f} to {bits[-1][1]:.3f} in "
            f"{stage_name(history.stage)}. The model is forgetting plain text while it learns to "
            "answer: replay more of it, or take a lower learning rate."
        )
        yield Observation(is_fine=False, words=words)


def _rising(history: StageHistory, *, field: str, called: str) -> Iterator[Observation]:
    figures, name = history.series(field), stage_name(history.stage)
    if len(figures) < 2:
        return
    best_step, best = min(figures, key=lambda point: point[1])
    last_step, last = figures[-1]
    if last > best * (1 + RISE_TOLERANCE):
        words = (
            f"{called}, in {name}: lowest at step {best_step:,.0f} ({best:.3f}), then rising to "
            f"{last:.3f} by step {last_step:,.0f}. The model has begun to learn its training text "
            "by heart: use fewer steps, more text, or dropout."
        )
        yield Observation(is_fine=False, words=words)
        return
    before = figures[-2][1]
    still = "still falling at the end, so more steps would help" if last < before else "level"
    words = f"{called}, in {name}: {last:.3f} at the end, {still}; no sign of overfitting."
    yield Observation(is_fine=True, words=words)


def _broken(history: StageHistory) -> Iterator[Observation]:
    steps = history.broken_steps()
    if steps:
        words = (
            f"{len(steps)} of the losses of {stage_name(history.stage)} were not finite, the first "
            f"at step {steps[0]:,}. Those steps were skipped; a lower learning rate prevents them."
        )
        yield Observation(is_fine=False, words=words)


def _speed(history: StageHistory) -> Iterator[Observation]:
    speeds = [speed for _, speed in history.series("tokens_per_second")]
    if len(speeds) < 8:
        return
    quarter = len(speeds) // 4
    first, last = median(speeds[:quarter]), median(speeds[-quarter:])
    if last < first * (1 - SPEED_TOLERANCE):
        words = (
            f"During {stage_name(history.stage)} the machine slowed from {first:,.0f} to "
            f"{last:,.0f} tokens a second: something else was running, or it became too warm."
        )
        yield Observation(is_fine=False, words=words)


def _warnings(history: StageHistory) -> Iterator[Observation]:
    """Repeats what was said while the stage ran."""
    for row in history.rows:
        if isinstance(row.get("warning"), str):
            words = f"{stage_name(history.stage).capitalize()}, step {row['step']:,}: "
            yield Observation(is_fine=False, words=words + row["warning"])


def _text(card: ReportCard) -> Iterator[Observation]:
    if not card.text:
        return
    scores = {stage: score.bits_per_byte.value for stage, score in card.text.stages.items()}
    rivals = card.text.baselines
    first = next(iter(scores.values()))
    if rivals and first >= (best := min(rivals.xz, rivals.ngram5)):
        words = (
            f"A 5-gram model or xz predicts the held-out text as well ({best:.3f} bits a byte "
            f"against {first:.3f}): the model has not yet learned more than short habits."
        )
        yield Observation(is_fine=False, words=words)
    if BASE in scores and FINETUNED in scores:
        rise = scores[FINETUNED] - scores[BASE]
        is_fine = rise <= FORGETTING_TOLERANCE
        verdict = (
            "little, as it should be."
            if is_fine
            else "much: the model is forgetting its text. Replay more of it during fine-tuning."
        )
        words = f"Fine-tuning changed the bits per byte of plain text by {rise:+.3f}: {verdict}"
        yield Observation(is_fine=is_fine, words=words)


def _skills(card: ReportCard) -> Iterator[Observation]:
    unlearned = []
    for skill in card.skills:
        if not skill.stages:
            continue
        value, rival = skill.best(next(reversed(skill.stages))).value, skill.baseline.value
        is_above = value.low > rival if skill.higher_is_better else value.high < rival
        if not is_above:
            unlearned.append(skill_name(skill.name))
    if unlearned:
        words = (
            f"Not shown to be better than a trivial answer: {', '.join(unlearned)}. Either the "
            "skill was not learned, or too few questions were asked to tell."
        )
        yield Observation(is_fine=False, words=words)
    elif card.skills:
        words = "Every skill beats its trivial answer by more than chance."
        yield Observation(is_fine=True, words=words)


def _pairs(card: ReportCard) -> Iterator[Observation]:
    """Says whether the main measure is better than that of every rival, by more than chance."""
    if not card.pairs:
        return
    own, unbeaten = card.pairs.model[0], []
    for name, figures in card.pairs.rivals.items():
        value, rival = own.value, figures[0].value
        is_above = value.low > rival.high if own.higher_is_better else value.high < rival.low
        if not is_above:
            unbeaten.append(RIVALS[name])
    measure = MEASURES.get(own.name, own.name)
    if unbeaten:
        words = f"By {measure} it is not shown to be better than: {', '.join(unbeaten)}."
        yield Observation(is_fine=False, words=words)
    elif card.pairs.rivals:
        words = f"By {measure} it beats everything that needs no learning."
        yield Observation(is_fine=True, words=words)


def _forgotten(card: ReportCard) -> Iterator[Observation]:
    """Names the skills that the last stage has made worse by more than chance explains."""
    told = []
    for skill in card.skills:
        stages = [stage for stage in skill.stages if stage != BASE]
        if len(stages) < 2:
            continue
        before, after = (skill.best(stage).value for stage in stages[-2:])
        worse = after.high < before.value if skill.higher_is_better else after.low > before.value
        if worse:
            told.append(f"{skill_name(skill.name)} ({before.value:.1%} to {after.value:.1%})")
    if told:
        words = (
            f"The last stage has made worse what the one before it could: {', '.join(told)}. It "
            "followed its reward too far: take fewer steps, stay nearer, or remember more."
        )
        yield Observation(is_fine=False, words=words)
