"""Rewards: any function `(prompt, answer) -> float`, held to its time and to its numbers.

A reward that raises, is no finite number, or does not come in time is a failure with a name. The
answer is left out of what is learned, the failure is counted, and too many of them end the run.
"""

import contextlib
import json
import math
import queue
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from cutaway.alignment.taste import true_reward
from cutaway.errors import DataError, UsageError
from cutaway.text.conversations import Message
from cutaway.text.skills.base import Example, Skill

Prompt = tuple[Message, ...]
RewardFunction = Callable[[str, str], float]

FAILURES_FORGIVEN = 3
"""Failures that end no run, however few answers were scored."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """An answer to be scored, with what it answers."""

    prompt: Prompt
    """The messages so far."""
    answer: str
    """What was said."""

    @property
    def asked(self) -> str:
        """The prompt as one text, its messages parted by an empty line."""
        return "\n\n".join(message.content for message in self.prompt)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A reward that could not be had."""

    why: str
    """What went wrong, in words."""


class Reward(ABC):
    """Scores answers; greater is better."""

    @abstractmethod
    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        """Scores each answer, or says why it could not."""

    def close(self) -> None:  # noqa: B027 - most have nothing to free
        """Frees what the reward holds, such as a program."""


@final
class FunctionReward(Reward):
    """A plain function of two texts, called in a thread of its own so that it cannot hang a run.

    A call that does not come back is abandoned with its thread; the next has a new one.
    """

    def __init__(self, function: RewardFunction, *, seconds: float = 10.0) -> None:
        self._function, self._seconds = function, seconds
        self._calls: queue.SimpleQueue[Any] | None = None

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        return [self._reward(exchange) for exchange in exchanges]

    def _reward(self, exchange: Exchange) -> float | Failed:
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            threading.Thread(
                target=_serve, args=(self._function, self._calls), name="reward", daemon=True
            ).start()
        result: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._calls.put((exchange.asked, exchange.answer, result))
        try:
            value = result.get(timeout=self._seconds)
        except queue.Empty:
            self.close()
            return Failed(why=f"gave no number in {self._seconds:g} s")
        return value if isinstance(value, Failed) else _checked(value)

    def close(self) -> None:
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


@final
class ProgramReward(Reward):
    """A program that reads lines `{"prompt": ..., "answer": ...}` and writes a number for each.

    It runs beside us, in any language, and is ended where it does not answer in time.
    """

    def __init__(self, command: Sequence[str], *, seconds: float = 10.0) -> None:
        self._command, self._seconds = list(command), seconds
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        return [self._reward(exchange) for exchange in exchanges]

    def _reward(self, exchange: Exchange) -> float | Failed:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            line = json.dumps({"prompt": exchange.asked, "answer": exchange.answer})
            process.stdin.write(line + "\n")
            process.stdin.flush()
            said = self._lines.get(timeout=self._seconds)
        except queue.Empty:
            self.close()
            return Failed(why=f"gave no number in {self._seconds:g} s")
        except OSError:
            said = None
        if said is None:
            code = process.wait(self._seconds)
            self.close()
            return Failed(why=f"the program ended with code {code}")
        return _checked(said.strip())

    def _start(self) -> "subprocess.Popen[str]":
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise UsageError(
                f"the reward program {self._command[0]} cannot be run: {error.strerror}\n"
                "give an executable file: reward=program:./score.py"
            ) from error
        self._process, self._lines = process, queue.SimpleQueue()
        threading.Thread(
            target=_read_lines, args=(process, self._lines), name="reward", daemon=True
        ).start()
        return process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):  # what was not read is lost, as it should be
                self._process.stdin.close()
            self._process = None


@final
class TasteReward(Reward):
    """What the known person likes, without noise: the truth that all else is measured against."""

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        return [true_reward(exchange.prompt, exchange.answer) for exchange in exchanges]


@final
class RuleReward(Reward):
    """Scores by the rule of the skill that asked: 1 for a right answer, less for each error."""

    def __init__(self, questions: Mapping[Prompt, tuple[Skill[Any], Example]]) -> None:
        self._questions = questions

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        return [self._reward(exchange) for exchange in exchanges]

    def _reward(self, exchange: Exchange) -> float | Failed:
        if exchange.prompt not in self._questions:
            return Failed(why="no skill asked this question")
        skill, example = self._questions[exchange.prompt]
        score = skill.score(example, exchange.answer)
        return max(0.0, 1.0 - score.errors / max(1, score.length))


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Rewards of a batch of answers."""

    values: tuple[float, ...]
    """One for each answer; 0 where there is none."""
    is_scored: tuple[bool, ...]
    """Whether the answer has a reward; the others are not learned from."""


@final
class Scorer:
    """Asks a reward, counts its failures, and ends the run where there are too many."""

    def __init__(self, reward: Reward, *, most_failing: float = 0.01) -> None:
        """`most_failing` is the share of all answers whose reward may fail."""
        self._reward, self._most_failing = reward, most_failing
        self.scored = 0
        """Answers so far."""
        self.failures: Counter[str] = Counter()
        """What went wrong, and how often."""

    @property
    def failed(self) -> int:
        """Answers without a reward so far."""
        return self.failures.total()

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        """Scores a batch.

        Raises:
            DataError: more rewards failed than may.
        """
        values: list[float] = []
        is_scored: list[bool] = []
        for found in self._reward.rewards(exchanges):
            self.scored += 1
            is_scored.append(not isinstance(found, Failed))
            if isinstance(found, Failed):
                self.failures[found.why] += 1
                values.append(0.0)
                if self.failed > max(FAILURES_FORGIVEN, self._most_failing * self.scored):
                    raise self._too_many()
            else:
                values.append(found)
        return Scores(values=tuple(values), is_scored=tuple(is_scored))

    def close(self) -> None:
        """Frees what the reward holds."""
        self._reward.close()

    def _too_many(self) -> DataError:
        why, count = self.failures.most_common(1)[0]
        return DataError(
            f"the reward failed for {self.failed} of {self.scored} answers; {count} times: {why}\n"
            f"At most {self._most_failing:.0%} may fail: what is learned from the rest would be "
            "skewed.\nThe run is kept as it was before this step; mend the reward, and the same "
            "command goes on."
        )


def _checked(value: object) -> float | Failed:
    """The value as a number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return Failed(why=f"gave {str(value)[:40]!r}, which is no number")
    return number if math.isfinite(number) else Failed(why=f"gave {number}, which is not finite")


def _serve(function: RewardFunction, calls: "queue.SimpleQueue[Any]") -> None:
    while (call := calls.get()) is not None:
        prompt, answer, result = call
        try:
            result.put(function(prompt, answer))
        except BaseException as error:
            result.put(Failed(why=f"raised {type(error).__name__}: {str(error)[:120]}"))


def _read_lines(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
