"""Five ways to write a target with a recurrent network, from a mere state to input feeding.

They differ in what a step reads of the source, and when. Those that feed nothing back take all
steps at once, in torch's kernels; the two others go from step to step, and what a tap of their
alignment sees at a step are the rows that have a token left, the longest first.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.nn.alignment import Alignment
from cutaway.nn.places import Places
from cutaway.nn.recurrent import Ends, RecurrentStack, State
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a decoder can read of the sources; several rows of targets may share one."""

    memory: Float[Tensor, "M S E"]
    """A vector for each token of each source."""
    keys: Float[Tensor, "M S N"]
    """What the alignment made of them, once for all steps; the memory itself without alignment."""
    allowed: Bool[Tensor, "M S"]
    """True where a source has a token."""
    summary: Float[Tensor, "M F"]
    """The hidden state from which the top layer begins: all of the source in one vector."""

    def keep(self, rows: slice | Int[Tensor, " R"]) -> "Reading":
        """Returns the given sources, in the given order."""
        return Reading(
            memory=self.memory[rows],
            keys=self.keys[rows],
            allowed=self.allowed[rows],
            summary=self.summary[rows],
        )

    def sorted_by(self, places: Places) -> "Reading":
        """Returns the sources in the order of the targets that read them."""
        if places.is_full:
            return self
        return self.keep(places.order // (places.rows // len(self.memory)))


class DeepOutput(nn.Module):
    """Maxout over the state, the token before and the context (Bahdanau 2015, A.2.2).

    As equation 4 of the paper has it the state is the one after the step, not the one before.
    """

    def __init__(
        self, state_width: int, token_width: int, context_width: int, *, width: int
    ) -> None:
        super().__init__()
        self.state_projection = nn.Linear(state_width, 2 * width)
        self.token_projection = nn.Linear(token_width, 2 * width, bias=False)
        self.context_projection = nn.Linear(context_width, 2 * width, bias=False)

    def forward(
        self,
        state: Float[Tensor, "N F"],
        *,
        token: Float[Tensor, "N D"],
        context: Float[Tensor, "N E"],
    ) -> Float[Tensor, "N D"]:
        mixed = self.state_projection(state) + self.token_projection(token)
        mixed = mixed + self.context_projection(context)
        return mixed.unflatten(-1, (2, -1)).amax(dim=-2)


class AttendedOutput(nn.Module):
    """tanh(W [context; state]) (Luong 2015, eq. 5)."""

    def __init__(self, state_width: int, context_width: int, *, width: int) -> None:
        super().__init__()
        self.width = width
        self.projection = nn.Linear(context_width + state_width, width, bias=False)

    def forward(
        self, state: Float[Tensor, "... F"], *, context: Float[Tensor, "... E"]
    ) -> Float[Tensor, "... D"]:
        return torch.tanh(self.projection(torch.cat([context, state], dim=-1)))


class RecurrentDecoder(nn.Module, ABC):
    """Turns the embedded tokens of targets into the vectors that the unembedding reads."""

    def __init__(self, stack: RecurrentStack) -> None:
        super().__init__()
        self.stack = stack

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N R"], list[State]]:
        """Returns the vectors and what goes on to the next token; tokens as `places` has them."""

    def begin(self, states: Sequence[State]) -> list[State]:
        """Returns what goes into the first step, given the first state of each layer."""
        return list(states)

    def keys(self, memory: Float[Tensor, "M S E"]) -> Float[Tensor, "M S N"]:
        """Returns what the alignment makes of the sources."""
        return memory


class StateDecoder(RecurrentDecoder):
    """Knows of the source what the first state holds, and nothing else (Sutskever et al. 2014)."""

    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N F"], list[State]]:
        return self.stack(x, places=places, states=carried)


class SummaryDecoder(RecurrentDecoder):
    """Reads one summary of the source at every step (Cho et al. 2014, section 2.2)."""

    def __init__(self, stack: RecurrentStack, *, output: DeepOutput) -> None:
        super().__init__(stack)
        self.output = output
        self.context = Tap()

    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N D"], list[State]]:
        copies = places.rows // len(reading.summary)
        context = self.context(reading.summary.repeat_interleave(copies, dim=0))[places.row]
        y, ends = self.stack(torch.cat([x, context], dim=-1), places=places, states=carried)
        return self.output(y, token=x, context=context), ends


class AttendingDecoder(RecurrentDecoder):
    """Attends when all steps are made; what it finds goes into none of them (Luong 2015, 3.1)."""

    def __init__(
        self, stack: RecurrentStack, *, alignment: Alignment, output: AttendedOutput
    ) -> None:
        super().__init__(stack)
        self.alignment, self.output = alignment, output

    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N D"], list[State]]:
        y, ends = self.stack(x, places=places, states=carried)
        context = places.pack(_context(self.alignment, places.unpack(y), reading))
        return self.output(y, context=context), ends

    def keys(self, memory: Float[Tensor, "M S E"]) -> Float[Tensor, "M S N"]:
        return self.alignment.keys(memory)


class InputFeedingDecoder(RecurrentDecoder):
    """Attends after each step and feeds the result into the next one (Luong 2015, 3.3)."""

    def __init__(
        self, stack: RecurrentStack, *, alignment: Alignment, output: AttendedOutput
    ) -> None:
        super().__init__(stack)
        self.alignment, self.output = alignment, output
        self.fed = Tap()

    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N D"], list[State]]:
        reading, feeding = reading.sorted_by(places), self.stack.feeding(x.shape[-1])
        outputs, ends, now = [], Ends(), list(carried)
        for brought in torch.split(self.stack.bring(x), places.sizes.tolist()):
            *states, (fed,) = ends.cut(now, rows=len(brought))
            y, states = self.stack.step(brought + nn.functional.linear(fed, feeding), states)
            context = _context(self.alignment, y[:, None], reading, rows=places.rows)
            fed = self.fed(self.output(y, context=context[:, 0]))
            outputs.append(fed)
            now = [*states, (fed,)]
        return torch.cat(outputs), ends.joined(now)

    def begin(self, states: Sequence[State]) -> list[State]:
        """Returns the first states, and zeros for what is fed back."""
        hidden = states[0][0]
        return [*states, (hidden.new_zeros(len(hidden), self.output.width),)]

    def keys(self, memory: Float[Tensor, "M S E"]) -> Float[Tensor, "M S N"]:
        return self.alignment.keys(memory)


class ContextDecoder(RecurrentDecoder):
    """Asks before each step, with the state so far; the step reads the answer (Bahdanau 2015)."""

    def __init__(self, stack: RecurrentStack, *, alignment: Alignment, output: DeepOutput) -> None:
        super().__init__(stack)
        self.alignment, self.output = alignment, output

    def forward(
        self,
        x: Float[Tensor, "N D"],
        *,
        places: Places,
        reading: Reading,
        carried: Sequence[State],
    ) -> tuple[Float[Tensor, "N D"], list[State]]:
        reading, feeding = reading.sorted_by(places), self.stack.feeding(x.shape[-1])
        outputs, contexts, ends, states = [], [], Ends(), list(carried)
        for brought in torch.split(self.stack.bring(x), places.sizes.tolist()):
            states = ends.cut(states, rows=len(brought))
            asked = states[-1][0][:, None]
            context = _context(self.alignment, asked, reading, rows=places.rows)[:, 0]
            y, states = self.stack.step(brought + nn.functional.linear(context, feeding), states)
            outputs.append(y)
            contexts.append(context)
        vectors = self.output(torch.cat(outputs), token=x, context=torch.cat(contexts))
        return vectors, ends.joined(states)

    def keys(self, memory: Float[Tensor, "M S E"]) -> Float[Tensor, "M S N"]:
        return self.alignment.keys(memory)


def _context(
    alignment: Alignment,
    query: Float[Tensor, "B Q F"],
    reading: Reading,
    *,
    rows: int | None = None,
) -> Float[Tensor, "B Q E"]:
    """Attends with the rows that have a token left, of `rows`; rows of one source ask together."""
    if rows is not None and len(query) < rows:
        reading = reading.keep(slice(len(query)))
    together = query.reshape(len(reading.memory), -1, query.shape[-1])
    found = alignment(together, keys=reading.keys, memory=reading.memory, allowed=reading.allowed)
    return found.reshape(*query.shape[:2], -1)
