"""What a report says: one dataclass a part, each of which a run may lack, and its form as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cutaway.evaluation.classification import ClassScores
from cutaway.evaluation.compression import CompressionBaselines
from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.likelihood import Likelihood
from cutaway.evaluation.masked import MaskedScores
from cutaway.evaluation.pairs import PairScores
from cutaway.evaluation.skills import SkillResult, SkillScore
from cutaway.evaluation.tasks import Measurement
from cutaway.evaluation.verses import VerseScores

BASE, FINETUNED, ALIGNED = "base", "finetuned", "aligned"
"""Names of the stages whose models are judged; a stage may have any name."""

FORMAT = 1
"""Version of report.json; fields may be added without a new one."""


@dataclass(frozen=True, kw_only=True)
class TextScores:
    """How well held-out text is predicted, by stage and by methods without a neural network."""

    corpus: str
    """Name of the corpus."""
    stages: Mapping[str, Likelihood]
    """Scores by stage; the first is the one that stands for the run."""
    baselines: CompressionBaselines | None = None
    """What gzip, xz and a 5-gram model make of the same text."""


@dataclass(frozen=True, kw_only=True)
class TokenizerFacts:
    """What the tokenizer makes of text."""

    vocab_size: int
    """Tokens, control tokens included."""
    bytes_per_token: float | None = None
    """Mean bytes of a token in held-out text."""
    tokens_per_word: Mapping[str, float] = field(default_factory=dict)
    """Mean tokens of a word, by kind of text or language."""
    longest: Sequence[str] = ()
    """The longest tokens."""
    pieces: Sequence[str] = ()
    """A sentence, cut into its tokens."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What was trained."""

    architecture: str
    """Name in the catalog."""
    parameters: int
    """Weights that are learned."""
    vocab_size: int
    """Tokens that the model can tell apart."""
    context_length: int
    """Tokens that it reads at once."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Further facts in words: width, layers, precision, compiler."""


@dataclass(frozen=True, kw_only=True)
class ReportCard:
    """All that a report shows and that is not in the run's own files."""

    title: str
    """Name of the run."""
    minutes: Mapping[str, float] = field(default_factory=dict)
    """Minutes of each stage in order; `total` is their sum unless it is given."""
    text: TextScores | None = None
    """Held-out text."""
    skills: Sequence[SkillResult] = ()
    """Skills, in the order of the report."""
    tokenizer: TokenizerFacts | None = None
    """The tokenizer."""
    model: ModelFacts | None = None
    """The model."""
    masked: MaskedScores | None = None
    """Hidden words, of an encoder."""
    classes: ClassScores | None = None
    """Classes, of a classifier."""
    pairs: PairScores | None = None
    """Targets written for sources, of an encoder-decoder."""
    verses: VerseScores | None = None
    """Poems in the forms of the corpus that was learned from."""
    remarks: Sequence[str] = ()
    """What a reader must know: a missing compiler, a corpus left out."""
    next_command: str = ""
    """What to type next."""

    @property
    def total_minutes(self) -> float | None:
        """Minutes of the whole run; None where nothing was timed."""
        if not self.minutes:
            return None
        parts = [spent for name, spent in self.minutes.items() if name != "total"]
        return self.minutes.get("total", math.fsum(parts))


def as_json(card: ReportCard) -> dict[str, Any]:
    """Returns what report.json holds; numbers that are not finite become null."""
    total = card.total_minutes
    data: dict[str, Any] = {"format": FORMAT, "title": card.title}
    data["minutes"] = dict(card.minutes) | ({} if total is None else {"total": total})
    data["bits_per_byte"] = _text(card.text) if card.text else None
    data["skills"] = {skill.name: _skill(skill) for skill in card.skills}
    data["model"] = _model(card.model) if card.model else None
    data["tokenizer"] = _tokenizer(card.tokenizer) if card.tokenizer else None
    if card.masked:
        data["masked"] = asdict(card.masked)
    if card.classes:
        data["classes"] = asdict(card.classes)
    if card.pairs:
        data["pairs"] = _pairs(card.pairs)
    if card.verses:
        data["verses"] = asdict(card.verses)
    data["remarks"] = list(card.remarks)
    finite: dict[str, Any] = _finite(data)
    return finite


def _text(text: TextScores) -> dict[str, Any]:
    first = next(iter(text.stages.values()))
    data: dict[str, Any] = _interval(first.bits_per_byte)
    if text.baselines:
        data |= {
            "gzip": text.baselines.gzip,
            "xz": text.baselines.xz,
            "ngram5": text.baselines.ngram5,
        }
    data["corpus"] = text.corpus
    data["documents"], data["bytes"] = first.num_documents, first.num_bytes
    data["stages"] = {
        stage: _interval(score.bits_per_byte)
        | {
            "perplexity_per_token": score.perplexity_per_token,
            "perplexity_per_word": score.perplexity_per_word,
        }
        for stage, score in text.stages.items()
    }
    return data


def _skill(skill: SkillResult) -> dict[str, Any]:
    # The last stage has the most questions; n is theirs, and each stage says its own.
    last = next(reversed(skill.stages), None)
    return {
        "metric": skill.metric,
        "higher_is_better": skill.higher_is_better,
        "n": skill.best(last).n if last else 0,
        "baseline": skill.baseline.value,
        "stages": {stage: _score(skill.best(stage)) for stage in skill.stages},
        "prompts": {
            stage: {score.form: _score(score) for score in scores}
            for stage, scores in skill.stages.items()
        },
        "attempts": {
            stage: {"tries": each.tries}
            | {f"pass@{k}": _interval(each.pass_at(k)) for k in sorted({1, each.tries})}
            for stage, each in skill.attempts.items()
        },
    }


def _score(score: SkillScore) -> dict[str, Any]:
    return {**_interval(score.value), "n": score.n, "prompt": score.form}


def _model(model: ModelFacts) -> dict[str, Any]:
    return {
        "architecture": model.architecture,
        "parameters": model.parameters,
        "vocab_size": model.vocab_size,
        "context_length": model.context_length,
        **model.details,
    }


def _pairs(scores: PairScores) -> dict[str, Any]:
    told = asdict(scores)
    told["measurements"] = _figures(scores.model)
    del told["model"]
    told["rivals"] = {name: _figures(each) for name, each in scores.rivals.items()}
    return told


def _figures(measurements: Sequence[Measurement]) -> dict[str, Any]:
    return {
        one.name: {
            **_interval(one.value),
            "n": one.n,
            "chance": one.chance,
            "higher_is_better": one.higher_is_better,
        }
        for one in measurements
    }


def _tokenizer(tokenizer: TokenizerFacts) -> dict[str, Any]:
    return {
        "vocab_size": tokenizer.vocab_size,
        "bytes_per_token": tokenizer.bytes_per_token,
        "tokens_per_word": dict(tokenizer.tokens_per_word),
        "longest": list(tokenizer.longest),
    }


def _interval(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
    return value
