"""Recurrent layers: a state goes from token to token (Elman 1990; Hochreiter 1997; Cho 2014)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.nn.places import Places
from cutaway.nn.tap import Tap

State = tuple[Float[Tensor, "_ _"], ...]
"""What is carried along, a vector for each row; the hidden state comes first."""

Begun = tuple[Float[Tensor, "directions B F"], ...]
"""The same as torch's kernels take and give it."""


class Cell(nn.Module, ABC):
    """One step: what a token brings, and the state before it, give the state after it.

    What tokens bring does not depend on the state: `input_projection` is taken of all at once.
    """

    num_gates: ClassVar[int]
    """Vectors of the hidden width that each of the two projections gives."""
    num_parts: ClassVar[int] = 1
    """Vectors in the state."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.hidden_width = hidden_width
        self.input_projection = nn.Linear(width, self.num_gates * hidden_width)
        self.hidden_projection = nn.Linear(hidden_width, self.num_gates * hidden_width)
        self.hidden = Tap()

    @abstractmethod
    def forward(self, brought: Float[Tensor, "B N"], state: State) -> State:
        """Makes one step; `brought` is the token's `input_projection`."""

    @staticmethod
    @abstractmethod
    def run(
        x: Float[Tensor, "N D"], state: Begun, weights: list[Tensor], *, places: Places, both: bool
    ) -> tuple[Float[Tensor, "N E"], Begun]:
        """Makes all steps in torch's kernel."""

    def new_state(self, rows: int) -> State:
        """Returns the state before the first token: zeros."""
        weight = self.hidden_projection.weight
        return tuple(weight.new_zeros(rows, self.hidden_width) for _ in range(self.num_parts))

    def weights(self) -> list[Tensor]:
        """Returns the weights in the order in which torch's kernels read them."""
        brings, carries = self.input_projection, self.hidden_projection
        return [brings.weight, carries.weight, brings.bias, carries.bias]


class RNNCell(Cell):
    """h' = tanh(W x + U h + b), the network of Elman (1990)."""

    num_gates = 1

    def forward(self, brought: Float[Tensor, "B N"], state: State) -> State:
        (hidden,) = state
        return (self.hidden(torch.tanh(brought + self.hidden_projection(hidden))),)

    @staticmethod
    def run(
        x: Float[Tensor, "N D"], state: Begun, weights: list[Tensor], *, places: Places, both: bool
    ) -> tuple[Float[Tensor, "N E"], Begun]:
        train, (begun,) = torch.is_grad_enabled(), state
        if places.is_full:
            stepped = x.view(places.longest, places.rows, -1)
            y, last = torch.rnn_tanh(stepped, begun, weights, True, 1, 0.0, train, both, False)
            return y.flatten(0, 1), (last,)
        y, last = torch.rnn_tanh(x, places.sizes, begun, weights, True, 1, 0.0, train, both)
        return y, (last,)


class GRUCell(Cell):
    """Two gates say how much of the state is read and how much is kept (Cho et al. 2014, 2.3).

    As torch has it: the reset gate is applied after the product with U, not before it, and z is
    the share that is kept.
    """

    num_gates = 3

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__(width, hidden_width)
        self.reset, self.update = Tap(), Tap()

    def forward(self, brought: Float[Tensor, "B N"], state: State) -> State:
        (hidden,) = state
        for_reset, for_update, for_candidate = brought.chunk(3, dim=-1)
        old_reset, old_update, old = self.hidden_projection(hidden).chunk(3, dim=-1)
        reset = self.reset(torch.sigmoid(for_reset + old_reset))
        update = self.update(torch.sigmoid(for_update + old_update))
        candidate = torch.tanh(for_candidate + reset * old)
        return (self.hidden(update * hidden + (1 - update) * candidate),)

    @staticmethod
    def run(
        x: Float[Tensor, "N D"], state: Begun, weights: list[Tensor], *, places: Places, both: bool
    ) -> tuple[Float[Tensor, "N E"], Begun]:
        train, (begun,) = torch.is_grad_enabled(), state
        if places.is_full:
            stepped = x.view(places.longest, places.rows, -1)
            y, last = torch.gru(stepped, begun, weights, True, 1, 0.0, train, both, False)
            return y.flatten(0, 1), (last,)
        y, last = torch.gru(x, places.sizes, begun, weights, True, 1, 0.0, train, both)
        return y, (last,)


class LSTMCell(Cell):
    """Gates guard a memory to which things are added (Hochreiter and Schmidhuber 1997; Gers 2000).

    c' = f c + i g and h' = o tanh(c'), with i, f, o by sigmoid and g by tanh.
    """

    num_gates = 4
    num_parts = 2

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__(width, hidden_width)
        self.enter, self.forget, self.leave, self.memory = Tap(), Tap(), Tap(), Tap()

    def forward(self, brought: Float[Tensor, "B N"], state: State) -> State:
        hidden, memory = state
        enter, forget, new, leave = (brought + self.hidden_projection(hidden)).chunk(4, dim=-1)
        kept = self.forget(torch.sigmoid(forget)) * memory
        memory = self.memory(kept + self.enter(torch.sigmoid(enter)) * torch.tanh(new))
        return self.hidden(self.leave(torch.sigmoid(leave)) * torch.tanh(memory)), memory

    @torch.no_grad()
    def open_memory(self) -> None:
        """Sets the bias of the gate that keeps the memory to 1."""
        _, forget, _, _ = self.input_projection.bias.chunk(4)
        forget.fill_(1.0)

    @staticmethod
    def run(
        x: Float[Tensor, "N D"], state: Begun, weights: list[Tensor], *, places: Places, both: bool
    ) -> tuple[Float[Tensor, "N E"], Begun]:
        train = torch.is_grad_enabled()
        if places.is_full:
            stepped = x.view(places.longest, places.rows, -1)
            y, *last = torch.lstm(stepped, state, weights, True, 1, 0.0, train, both, False)
            return y.flatten(0, 1), tuple(last)
        y, *last = torch.lstm(x, places.sizes, state, weights, True, 1, 0.0, train, both)
        return y, tuple(last)


class Ends:
    """What rows carried along when they ended: the shortest rows end first and stand last."""

    def __init__(self) -> None:
        self._ended: list[list[State]] = []

    def cut(self, states: Sequence[State], *, rows: int) -> list[State]:
        """Keeps the states of rows that have ended, and returns those of the first `rows`."""
        if rows < len(states[0][0]):
            self._ended.append([tuple(part[rows:] for part in state) for state in states])
        return [tuple(part[:rows] for part in state) for state in states]

    def joined(self, states: Sequence[State]) -> list[State]:
        """Returns the last states of all rows, given those of the rows that end last."""
        every = zip(*[states, *reversed(self._ended)], strict=True)
        return [tuple(map(torch.cat, zip(*state, strict=True))) for state in every]


class SteppedOut(nn.Module):
    """Takes a cell from token to token, one line for each step; the state can be watched."""

    def forward(
        self, x: Float[Tensor, "N D"], *, state: State, places: Places, cells: Sequence[Cell]
    ) -> tuple[Float[Tensor, "N E"], State]:
        """Runs the first cell from left to right, and a second one from right to left."""
        starts = [part.chunk(len(cells), dim=-1) for part in state]
        runs = [
            run(cell, x, state=begin, places=places)
            for run, cell, begin in zip(
                (self._ahead, self._back), cells, zip(*starts, strict=True), strict=False
            )
        ]
        outputs, ends = zip(*runs, strict=True)
        return torch.cat(outputs, dim=-1), tuple(
            torch.cat(parts, dim=-1) for parts in zip(*ends, strict=True)
        )

    def _ahead(
        self, cell: Cell, x: Float[Tensor, "N D"], *, state: State, places: Places
    ) -> tuple[Float[Tensor, "N F"], State]:
        outputs, ends, states = [], Ends(), [state]
        for brought in cell.input_projection(x).split(places.sizes.tolist()):
            (state,) = ends.cut(states, rows=len(brought))
            states = [cell(brought, state)]
            outputs.append(states[0][0])
        (end,) = ends.joined(states)
        return torch.cat(outputs), end

    def _back(
        self, cell: Cell, x: Float[Tensor, "N D"], *, state: State, places: Places
    ) -> tuple[Float[Tensor, "N F"], State]:
        outputs, begin = [], state
        state = tuple(part[:0] for part in begin)
        for brought in reversed(cell.input_projection(x).split(places.sizes.tolist())):
            have, rows = len(state[0]), len(brought)
            state = tuple(
                torch.cat([part, new[have:rows]]) for part, new in zip(state, begin, strict=True)
            )
            state = cell(brought, state)
            outputs.append(state[0])
        return torch.cat(outputs[::-1]), state


class Kernel(nn.Module):
    """The same function in torch's kernels, which make all steps in one call."""

    def forward(
        self, x: Float[Tensor, "N D"], *, state: State, places: Places, cells: Sequence[Cell]
    ) -> tuple[Float[Tensor, "N E"], State]:
        """Runs the first cell from left to right, and a second one from right to left."""
        both = len(cells) == 2
        begin = tuple(torch.stack(part.chunk(len(cells), dim=-1)) for part in state)
        weights = [weight for cell in cells for weight in cell.weights()]
        y, ends = cells[0].run(x, begin, weights, places=places, both=both)
        return y, tuple(end.transpose(0, 1).flatten(1) for end in ends)


class RecurrentLayer(nn.Module):
    """Reads rows from left to right, and with a second cell from right to left as well.

    Both directions: Schuster and Paliwal 1997; their outputs and states stand side by side.
    `use_recurrence` chooses how the steps are made.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__()
        if len(cells) not in (1, 2):
            raise ValueError(f"a layer has a cell for each direction: 1 or 2, not {len(cells)}")
        self.cells = nn.ModuleList(cells)
        self.output = Tap()
        self.kernel: nn.Module = Kernel()

    @property
    def ahead(self) -> Cell:
        """The cell that reads from left to right."""
        return cast(Cell, self.cells[0])

    def forward(
        self, x: Float[Tensor, "N D"], *, places: Places, state: State | None = None
    ) -> tuple[Float[Tensor, "N E"], State]:
        """Returns every hidden state and each row's last state, in the order of `places`."""
        begin = self.new_state(places.rows) if state is None else state
        y, end = self.kernel(x, state=begin, places=places, cells=list(self.cells))
        return self.output(y), end

    def step(
        self, brought: Float[Tensor, "B N"], state: State
    ) -> tuple[Float[Tensor, "B F"], State]:
        """Makes one step from left to right; `brought` is what the first cell is brought."""
        end = self.ahead(brought, state)
        return self.output(end[0]), end

    def new_state(self, rows: int) -> State:
        """Returns the state before the first token."""
        states = [cast(Cell, cell).new_state(rows) for cell in self.cells]
        return tuple(torch.cat(parts, dim=-1) for parts in zip(*states, strict=True))


class RecurrentStack(nn.Module):
    """Layers one above the other; dropout on what goes up, not on what goes on.

    Zaremba et al. 2014, section 3.2.
    """

    def __init__(self, layers: Sequence[RecurrentLayer], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "N D"], *, places: Places, states: Sequence[State] | None = None
    ) -> tuple[Float[Tensor, "N E"], list[State]]:
        """Returns the top layer's outputs and the last state of every layer."""
        ends = []
        for index, layer in enumerate(self.layers):
            below = x if index == 0 else self.dropout(x)
            x, end = layer(below, places=places, state=None if states is None else states[index])
            ends.append(end)
        return x, ends

    def bring(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N M"]:
        """Returns what the first columns of an input bring to the first layer."""
        projection = self._layer(0).ahead.input_projection
        return nn.functional.linear(x, projection.weight[:, : x.shape[-1]], projection.bias)

    def feeding(self, width: int) -> Float[Tensor, "M C"]:
        """Returns the weights of the columns after the first `width`: they are fed step by step."""
        weight = self._layer(0).ahead.input_projection.weight[:, width:]
        # Autocast would convert this part at every step: it keeps whole weights only.
        if torch.is_autocast_enabled(weight.device.type):
            return weight.to(torch.get_autocast_dtype(weight.device.type))
        return weight

    def step(
        self, brought: Float[Tensor, "B M"], states: Sequence[State]
    ) -> tuple[Float[Tensor, "B F"], list[State]]:
        """Makes one step of all layers; `brought` is what the first layer is brought."""
        y, end = self._layer(0).step(brought, states[0])
        ends = [end]
        for index, state in enumerate(states[1:], start=1):
            layer = self._layer(index)
            y, end = layer.step(layer.ahead.input_projection(self.dropout(y)), state)
            ends.append(end)
        return y, ends

    def _layer(self, index: int) -> RecurrentLayer:
        return cast(RecurrentLayer, self.layers[index])


def use_recurrence(model: nn.Module, kernel: type[Kernel] | type[SteppedOut]) -> None:
    """Gives every recurrent layer of the model a kernel of this kind; no weight changes."""
    for module in model.modules():
        if isinstance(module, RecurrentLayer):
            module.kernel = kernel()
