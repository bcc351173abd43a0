"""New poems after the name of a form: whether they keep it, and which lines they have by heart."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cutaway.evaluation.intervals import Interval, bootstrap_rate
from cutaway.evaluation.subject import Subject
from cutaway.evaluation.tasks import Measurement, TaskReport
from cutaway.inference.sampling import Temperature
from cutaway.text.corpora import VerseCorpus
from cutaway.text.verses import FORMS, clauses, is_in_form, lines

TEMPERATURE = 0.8
"""Of the draws; that of `generate`."""


@dataclass(frozen=True, kw_only=True)
class Poem:
    """A poem that was written."""

    form: str
    """What was asked for."""
    text: str
    """What was written, of one that was cut its whole lines."""
    num_clauses: int
    """Its clauses."""
    num_in_form: int
    """Those in the form that was asked for."""
    memorised: tuple[str, ...]
    """Its lines that stand in the training text."""


@dataclass(frozen=True, kw_only=True)
class VerseScores:
    """What poems were written for each form."""

    data: str
    """The corpus that was learned from."""
    in_form: Interval
    """Share of the clauses in the form that was asked for; an empty poem is one that is not."""
    forms: dict[str, Interval]
    """The same by form."""
    num_clauses: int
    """Clauses that were written."""
    num_lines: int
    """Lines that were written."""
    num_memorised: int
    """Lines that stand in the training text."""
    memorised: Interval
    """Their share."""
    held_out_memorised: Interval
    """Share of the lines of held-out poems that stand in the training text, too."""
    poems: tuple[Poem, ...]
    """All of them."""
    num_unfinished: int
    """Poems that the length of the model cut."""
    temperature: float = TEMPERATURE
    """Of the draws."""


def judge_verses(subject: Subject, found: VerseCorpus, *, poems: int, seed: int) -> VerseScores:
    """Draws so many poems of each form, and compares their lines with the training text."""
    known = {line for one in found.documents("train") for line in lines(one.text)}
    # Above a document's verses stands the name of their form.
    held_out = [lines(one.text)[1:] for one in found.documents("validation")]
    asked = [form for form in FORMS for _ in range(poems)]
    prompts = [subject.tokenizer.prompt(form) for form in asked]
    length = subject.model.config.context_length
    completions = subject.engine.generate(
        prompts,
        sampler=Temperature(TEMPERATURE),
        max_tokens=[length - len(prompt) for prompt in prompts],
        seeds=range(seed, seed + len(prompts)),
    )
    written, unfinished = [], 0
    for form, completion in zip(asked, completions, strict=True):
        text = subject.tokenizer.decode(completion.text_ids)
        if completion.finish_reason == "length":
            unfinished += 1
            text = _whole(text)
        written.append(poem_of(text.strip(), form=form, known=known))
    return _scores(
        written,
        data=found.name,
        unfinished=unfinished,
        held_out=_share([sum(line in known for line in each) for each in held_out], held_out),
    )


def poem_of(text: str, *, form: str, known: Collection[str]) -> Poem:
    """Counts what a poem keeps of the form, and what it has by heart."""
    parts = clauses(text)
    return Poem(
        form=form,
        text=text,
        num_clauses=len(parts),
        num_in_form=sum(is_in_form(clause, form) for clause in parts),
        memorised=tuple(line for line in lines(text) if line in known),
    )


def verse_task(scores: VerseScores) -> TaskReport:
    """Returns the figures as those of any other test; chance is what held-out poems reach."""
    return TaskReport(
        task="new poems",
        measurements=(
            Measurement(
                name="clauses_in_form",
                value=scores.in_form,
                higher_is_better=True,
                n=scores.num_clauses,
            ),
            Measurement(
                name="memorised_lines",
                value=scores.memorised,
                higher_is_better=False,
                n=scores.num_lines,
                chance=scores.held_out_memorised.value,
            ),
        ),
        groups=scores.forms,
    )


def _scores(
    written: Sequence[Poem], *, data: str, unfinished: int, held_out: Interval
) -> VerseScores:
    counted = [lines(poem.text) for poem in written]
    by_heart = [len(poem.memorised) for poem in written]
    return VerseScores(
        data=data,
        in_form=_in_form(written),
        forms={form: _in_form([one for one in written if one.form == form]) for form in FORMS},
        num_clauses=sum(poem.num_clauses for poem in written),
        num_lines=sum(map(len, counted)),
        num_memorised=sum(by_heart),
        memorised=_share(by_heart, counted),
        held_out_memorised=held_out,
        poems=tuple(written),
        num_unfinished=unfinished,
    )


def _in_form(written: Sequence[Poem]) -> Interval:
    """The share of clauses; the bootstrap is over poems, whose clauses depend on each other."""
    right = [float(poem.num_in_form) for poem in written]
    return bootstrap_rate(right, [float(max(1, poem.num_clauses)) for poem in written])


def _share(counts: Sequence[int], counted: Sequence[Sequence[str]]) -> Interval:
    """Counts over lines; where there is no line at all, none is known."""
    sizes = [float(len(each)) for each in counted]
    if not sum(sizes):
        return Interval(value=0.0, low=0.0, high=0.0)
    return bootstrap_rate([float(count) for count in counts], sizes)


def _whole(text: str) -> str:
    """A text that was cut, without its last line."""
    return text.rpartition("\n")[0]
