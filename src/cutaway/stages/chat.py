"""`cutaway chat MODEL`: a conversation in the terminal; reads lines from a pipe as well.

Answers go to standard output, all else to standard error, so that
`printf 'How do you spell rain?\\n' | cutaway chat runs/demo` prints the answer to each line.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from cutaway.errors import ConfigError, CutawayError
from cutaway.text.conversations import (
    Conversation,
    Message,
    read_conversations,
    write_conversations,
)

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.inference.engine import Engine
    from cutaway.tokenizer.chat import ChatFormat

POSITIONAL: tuple[str, ...] = ("model",)
HAS_PRODUCT = True

ASK, STOPPED = "> ", " [stopped]"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Whom you talk to, and how it chooses its words."""

    model: Path
    """The MODEL: a run folder, a checkpoint, or a folder with a LoRA adapter."""
    system: str = ""
    """The system prompt: what the model is to do, and its limits."""
    temperature: float = 0.3
    """0 takes the most probable token always; up to 100, above 1 is flatter than the model."""
    top_p: float | None = None
    """Choose among the fewest tokens that reach this probability, 0 to 1; none: all."""
    seed: int = 0
    """The same seed, questions and settings give the same answers."""
    max_tokens: int = 256
    """The most tokens of an answer; at least 1."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, mps."""
    weights: Literal["plain", "fp32", "bf16", "int8"] = "plain"
    """plain: PyTorch in fp32; the others run compiled C++ on the CPU, fp32 with the same weights,
    bf16 and int8 with matrices rounded to this format."""
    guess: str = ""
    """What guesses tokens ahead, which changes no text: prompt (what followed the same words), or a
    smaller MODEL with the same tokenizer; empty: nothing."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens={self.max_tokens} is out of range; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was said."""

    messages: tuple[Message, ...]
    """The conversation as it ended, without what was cleared."""
    answers: int
    """Answers given in all."""


def run(config: Config, *, console: "Console") -> Report:
    """Talks until the lines end."""
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.interop.open import open_model
    from cutaway.stages.guessing import make_guesser
    from cutaway.tokenizer.chat import ChatFormat

    opened = open_model(config.model, device=config.device)
    for reason in opened.source.passed_over:
        console.warn(f"passed over {reason}")
    model = opened.model
    if config.weights != "plain":
        fast = accelerate(model, weights=config.weights)
        console.say(f"weights={config.weights}: {fast.reason}")
        model = fast.model
    chat = ChatFormat(opened.tokenizer)
    guesser = make_guesser(config.guess, tokenizer=opened.tokenizer, device=config.device)
    engine = Engine(model, opened.tokenizer, guesser=guesser)
    talk = Talk(config, engine=engine, chat=chat, console=console)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    console.say(f"{opened.source.told()}; it reads {talk.context_length} tokens at once")
    if not opened.source.can_chat:
        console.warn("this model was only pretrained: it has not learned to answer")
    if is_terminal:
        console.say("/help lists the commands; Ctrl-C stops an answer, Ctrl-D ends the chat")
    for line in _typed(console) if is_terminal else _piped():
        if not talk.hear(line):
            break
        if talk.stopped and not is_terminal:
            raise KeyboardInterrupt
    return Report(messages=tuple(talk.messages), answers=talk.answers)


class Talk:
    """One conversation, and the settings that its commands change."""

    def __init__(
        self, config: Config, *, engine: "Engine", chat: "ChatFormat", console: "Console"
    ) -> None:
        from cutaway.inference.sampling import choose_sampler

        self.messages: list[Message] = []
        self.answers = 0
        self.stopped = False
        """Whether the last answer was cut short by Ctrl-C."""
        self._is_over = False
        self.context_length = engine.model.config.context_length
        self._system = config.system
        self._temperature, self._top_p = config.temperature, config.top_p
        self._seed, self._seeded_at = config.seed, 0
        self._max_tokens = config.max_tokens
        self._sampler = choose_sampler(temperature=config.temperature, top_p=config.top_p)
        self._engine, self._chat, self._console = engine, chat, console

    def hear(self, line: str) -> bool:
        """Answers a line or obeys it; says whether the conversation goes on."""
        line = line.strip()
        self.stopped = False
        try:
            if line.startswith("/") and not line.startswith("//"):
                self._obey(line)
            elif line:
                self._answer(line.removeprefix("/") if line.startswith("//") else line)
        except CutawayError as error:
            self._console.warn(str(error))
        return not self._is_over

    def _answer(self, question: str) -> None:
        from cutaway.inference.dialogue import answer, fit

        system = [Message(role="system", content=self._system)] if self._system else []
        asked = [*system, *self.messages, Message(role="user", content=question)]
        said = ""
        try:
            fitted = fit(
                asked,
                chat=self._chat,
                context_length=self.context_length,
                max_tokens=self._max_tokens,
            )
            if fitted.dropped:
                self._tell_dropped(fitted.dropped)
                del self.messages[: len(fitted.dropped)]
            try:
                for piece in answer(
                    self._engine,
                    fitted.prompt,
                    sampler=self._sampler,
                    max_tokens=self._max_tokens,
                    seed=self._seed + self.answers - self._seeded_at,
                ):
                    said += piece
                    self._show(piece)
            except KeyboardInterrupt:
                self.stopped = True
                self._console.say(STOPPED)
        finally:
            # An answer that failed is an empty line: a script knows which question it was.
            self._show("\n")
        self.answers += 1
        if said.strip():
            self.messages += [asked[-1], Message(role="assistant", content=said)]
        else:
            self._console.say("(the model said nothing; the question is forgotten)")

    def _show(self, text: str) -> None:
        from cutaway.console import printable

        self._console.product(printable(text), end="")

    def _tell_dropped(self, dropped: tuple[Message, ...]) -> None:
        begins = dropped[0].content.split("\n")[0][:40]
        self._console.say(
            f"the context of {self.context_length} tokens is full: the {len(dropped)} oldest "
            f"messages, from {begins!r} on, are forgotten"
        )

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            near = [known for known in COMMANDS if known.startswith(name)]
            near = near or get_close_matches(name, COMMANDS, n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise CutawayError(
                f"{name} is no command{advice}\n/help lists them; // begins a message with a slash"
            )
        command[1](self, rest.strip())

    def set_system(self, text: str) -> None:
        """`/system`: what the model is to do."""
        self._system = text
        self._console.say(f"system prompt: {text}" if text else "no system prompt")

    def set_temperature(self, value: str) -> None:
        """`/temperature`: how freely it chooses."""
        self._choose(temperature=_number(value, "/temperature 0.3"), top_p=self._top_p)
        self._console.say(f"temperature {self._temperature:g}")

    def set_top_p(self, value: str) -> None:
        """`/top_p`: how far down it chooses."""
        top_p = None if value in ("", "none") else _number(value, "/top_p 0.9 or /top_p none")
        self._choose(temperature=self._temperature, top_p=top_p)
        self._console.say("top_p none" if top_p is None else f"top_p {top_p:g}")

    def set_seed(self, value: str) -> None:
        """`/seed`: the next answer's seed; each further answer takes the following one."""
        if not (value.isdecimal() and int(value) < 2**62):
            raise ConfigError(f"seed is {value[:40]}, but it is a whole number from 0 on: /seed 7")
        self._seed, self._seeded_at = int(value), self.answers
        self._console.say(f"seed {self._seed}")

    def save(self, name: str) -> None:
        """`/save`: adds the conversation to a file that fine-tuning reads."""
        path = Path(name or "chat.jsonl").expanduser()
        if path.suffix != ".jsonl":
            raise ConfigError(f"{path} does not end in .jsonl, as files of conversations do")
        if not self.messages:
            raise ConfigError("nothing has been said yet, so there is nothing to save")
        system = (Message(role="system", content=self._system),) if self._system else ()
        # Read first: a file of something else is refused instead of replaced.
        saved = list(read_conversations(path)) if path.exists() else []
        saved.append(Conversation(messages=(*system, *self.messages)))
        write_conversations(saved, path)
        self._console.say(f"saved: {path} holds {len(saved)} conversations")

    def clear(self, _: str) -> None:
        """`/clear`: begins a new conversation."""
        self.messages.clear()
        self._console.say("a new conversation")

    def help(self, _: str) -> None:
        """`/help`: the commands and the settings."""
        for name, (meaning, _call) in COMMANDS.items():
            self._console.say(f"{name:<14}{meaning}")
        top_p = "none" if self._top_p is None else f"{self._top_p:g}"
        next_seed = self._seed + self.answers - self._seeded_at
        self._console.say(
            f"now: temperature {self._temperature:g}, top_p {top_p}, seed {next_seed}, "
            f"{len(self.messages)} messages, system prompt: {self._system or 'none'}"
        )

    def quit(self, _: str) -> None:
        """`/quit`: the last line."""
        self._is_over = True

    def _choose(self, *, temperature: float, top_p: float | None) -> None:
        from cutaway.inference.sampling import choose_sampler

        self._sampler = choose_sampler(temperature=temperature, top_p=top_p)
        self._temperature, self._top_p = temperature, top_p


COMMANDS: Mapping[str, tuple[str, Callable[[Talk, str], None]]] = MappingProxyType(
    {
        "/system": ("TEXT  what the model is to do; no text: nothing special", Talk.set_system),
        "/temperature": ("X  0: the most probable word always; 1: freely", Talk.set_temperature),
        "/top_p": ("X  choose among the words that make up this probability", Talk.set_top_p),
        "/seed": ("N  the same seed gives the same answer", Talk.set_seed),
        "/save": ("FILE.jsonl  add the conversation to a file for finetune", Talk.save),
        "/clear": ("forget the conversation", Talk.clear),
        "/help": ("this list, and the settings", Talk.help),
        "/quit": ("end, as Ctrl-D does", Talk.quit),
    }
)


def _number(text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{text[:40]!r} is no number; write {example}") from None


def _typed(console: "Console") -> Iterator[str]:
    """The lines of a person; Ctrl-C forgets the line, Ctrl-D ends."""
    with contextlib.suppress(ImportError):
        import readline  # editing and the lines said before, where Python was built with it

        readline.set_completer(_complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
    while True:
        try:
            yield input(ASK)
        except EOFError:
            console.say("")
            return
        except KeyboardInterrupt:
            console.say("\n(Ctrl-D or /quit ends the chat)")


def _piped() -> Iterator[str]:
    """The lines of a file or another program."""
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    yield from sys.stdin


def _complete(text: str, state: int) -> str | None:
    found = [name for name in COMMANDS if name.startswith(text)] if text.startswith("/") else []
    return found[state] if state < len(found) else None
