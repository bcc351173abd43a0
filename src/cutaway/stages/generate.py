"""`cutaway generate MODEL "prompt"`: prints what a model writes after a text, and nothing else.

cutaway generate runs/demo "In the beginning"
cutaway generate runs/translate "Zwei Hunde spielen im Schnee."
cutaway generate runs/bert "The king [MASK] to the city."
cutaway generate runs/spam "You have won a prize, call now"
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway.errors import ConfigError

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.interop.open import Opened

POSITIONAL: tuple[str, ...] = ("model", "prompt")
HAS_PRODUCT = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is written, and how."""

    model: Path
    """The MODEL: a run folder, a checkpoint, or a folder with a LoRA adapter."""
    prompt: str = ""
    """The text to go on from; in the form of a chat, the question; to a translator, the source; to
    an encoder, a text with [MASK] for each blank; to a classifier, the text, or two with a tab."""
    max_tokens: int = 200
    """The most tokens written; at least 1."""
    temperature: float = 0.8
    """0 takes the most probable token always; up to 100, above 1 is flatter than the model."""
    top_k: int | None = None
    """Choose among this many most probable tokens; none: all."""
    top_p: float | None = None
    """Choose among the fewest tokens that reach this probability, 0 to 1; none: all."""
    min_p: float | None = None
    """Choose among tokens at least this share as probable as the best, 0 to 1; none: all."""
    seed: int = 0
    """The same seed writes the same text."""
    form: Literal["auto", "text", "chat"] = "auto"
    """Go on with the text, or answer it; auto: answer where the model was fine-tuned."""
    system: str = ""
    """The system prompt, in the form of a chat."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, mps."""
    weights: Literal["plain", "fp32", "bf16", "int8"] = "plain"
    """plain: PyTorch in fp32; the others run compiled C++ on the CPU, fp32 with the same weights,
    bf16 and int8 with matrices rounded to this format."""
    beams: int = 4
    """Beams of the search, of a model that reads a source; 1 takes the likeliest token always."""
    length_penalty: float = 0.6
    """Exponent by which longer targets are favoured there (Wu et al. 2016, equation 14)."""
    guess: str = ""
    """What guesses tokens ahead, which changes no text: prompt (what followed the same words), or a
    smaller MODEL with the same tokenizer; empty: nothing."""

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ConfigError(f"beams={self.beams} is out of range; give 1 or more")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens={self.max_tokens} is out of range; give 1 or more")
        if self.system and self.form == "text":
            raise ConfigError("system= is for form=chat; a text that goes on has no system prompt")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written."""

    text: str
    """The continuation."""
    form: Literal["text", "chat", "translation", "blanks", "class"]
    """Whether the text was gone on with, answered, read as a source, filled, or classified."""
    prompt_tokens: int
    """Tokens of the prompt, markers included."""
    tokens: int
    """Tokens written, the one that stops not counted."""
    finish_reason: Literal["stop", "length"]
    """Whether the model ended the text itself."""
    seconds: float
    """Time for reading the prompt and writing."""
    choices: tuple[dict[str, float], ...] = ()
    """Words for each blank, or the classes of the text, with their probabilities."""


def run(config: Config, *, console: "Console") -> Report:
    """Streams the continuation to standard output; all else goes beside it."""
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.inference.generate import most_tokens
    from cutaway.inference.sampling import choose_sampler
    from cutaway.interop.open import kind_at, open_model
    from cutaway.stages.guessing import make_guesser
    from cutaway.tokenizer.base import StreamDecoder

    kind = kind_at(config.model)
    if kind == "encoder-decoder":
        return _translate(config, console=console)
    if kind in ("encoder", "classifier"):
        from cutaway.stages.generate_encoder import answer_about

        return answer_about(config, kind=kind, console=console)
    sampler = choose_sampler(
        temperature=config.temperature, top_k=config.top_k, top_p=config.top_p, min_p=config.min_p
    )
    opened = open_model(config.model, device=config.device)
    for reason in opened.source.passed_over:
        console.warn(f"passed over {reason}")
    form: Literal["text", "chat"] = "chat" if opened.source.can_chat else "text"
    if config.form != "auto":
        form = config.form
    console.say(f"{opened.source.told()}; form={form} seed={config.seed}")
    prompt = _prompt(config, opened, form=form)
    context_length = opened.model.config.context_length
    room = most_tokens(len(prompt), max_tokens=config.max_tokens, context_length=context_length)
    model = opened.model
    if config.weights != "plain":
        fast = accelerate(model, weights=config.weights)
        console.say(f"weights={config.weights}: {fast.reason}")
        model = fast.model
    decoder, pieces, tokens = StreamDecoder(opened.tokenizer), [], 0
    start = time.monotonic()
    guesser = make_guesser(config.guess, tokenizer=opened.tokenizer, device=config.device)
    engine = Engine(model, opened.tokenizer, guesser=guesser)
    for token in engine.stream(prompt, sampler=sampler, max_tokens=room, seed=config.seed):
        tokens += 1
        if piece := decoder.feed(token):
            pieces.append(piece)
            console.product(piece, end="")
    pieces.append(decoder.finish())
    console.product(pieces[-1])
    seconds = time.monotonic() - start
    if tokens == room < config.max_tokens:
        console.say(f"stopped after {tokens} tokens: the context of {context_length} is full")
    return Report(
        text="".join(pieces),
        form=form,
        prompt_tokens=len(prompt),
        tokens=tokens,
        finish_reason="length" if tokens == room else "stop",
        seconds=seconds,
    )


def _translate(config: Config, *, console: "Console") -> Report:
    """Prints the best target of a source."""
    from cutaway.evaluation.translation import Translator
    from cutaway.inference.beam import BeamSearch, Likeliest, best_targets, likeliest
    from cutaway.inference.fast_pairs import accelerate_pair
    from cutaway.interop.open import open_pair_model

    _refuse_sampling(config)
    opened = open_pair_model(config.model, device=config.device)
    for reason in opened.source.passed_over:
        console.warn(f"passed over {reason}")
    console.say(f"{opened.source.told()}; beams={config.beams}")
    model = opened.model
    choose: Likeliest = likeliest
    if config.weights != "plain":
        fast = accelerate_pair(model, weights=config.weights)
        console.say(f"weights={config.weights}: {fast.reason}")
        model, choose = fast.model, fast.choose
    translator = Translator(model=model, tokenizer=opened.tokenizer)
    source, end = translator.source_ids(config.prompt), opened.tokenizer.begin_id
    start = time.monotonic()
    best = best_targets(
        model,
        [source],
        search=BeamSearch(
            beams=config.beams,
            length_penalty=config.length_penalty,
            max_tokens=config.max_tokens,
        ),
        begin_id=end,
        end_id=end,
        choose=choose,
    )[0]
    text = opened.tokenizer.decode(best.ids)
    console.product(text)
    return Report(
        text=text,
        form="translation",
        prompt_tokens=len(source),
        tokens=len(best.ids),
        finish_reason="stop" if best.is_finished else "length",
        seconds=time.monotonic() - start,
    )


def _refuse_sampling(config: Config) -> None:
    given = [name for name in ("top_k", "top_p", "min_p") if getattr(config, name) is not None]
    if config.form != "auto":
        given.append("form")
    if not config.prompt.strip():
        raise ConfigError("the source is empty; give a text to be translated")
    if given:
        raise ConfigError(
            f"{given[0]}= goes with a model that continues a text; {config.model} reads a source\n"
            "and writes the best target that it finds: give beams= and length_penalty="
        )


def _prompt(config: Config, opened: "Opened", *, form: Literal["text", "chat"]) -> list[int]:
    """The ids of the prompt: a conversation, or the start of a text."""
    from cutaway.text.conversations import Conversation, Message
    from cutaway.tokenizer.chat import ChatFormat

    if form == "chat":
        if not config.prompt.strip():
            raise ConfigError("the prompt is empty; ask something, or give form=text")
        system = [Message(role="system", content=config.system)] if config.system else []
        question = Message(role="user", content=config.prompt)
        return ChatFormat(opened.tokenizer).prompt(Conversation(messages=(*system, question)))
    return opened.tokenizer.prompt(config.prompt)
