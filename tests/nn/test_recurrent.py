"""Recurrent layers beside torch's own modules, and the stepped form beside the kernels."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.nn.places import places_of
from cutaway.nn.recurrent import (
    Cell,
    GRUCell,
    Kernel,
    LSTMCell,
    RecurrentLayer,
    RecurrentStack,
    RNNCell,
    SteppedOut,
    use_recurrence,
)

CELLS: dict[type[Cell], tuple[Any, Any]] = {
    RNNCell: (nn.RNNCell, nn.RNN),
    GRUCell: (nn.GRUCell, nn.GRU),
    LSTMCell: (nn.LSTMCell, nn.LSTM),
}
"""Each cell with torch's cell and torch's layers."""
KINDS = pytest.mark.parametrize("kind", CELLS)
KERNELS = pytest.mark.parametrize("kernel", [SteppedOut, Kernel])
LENGTHS = torch.tensor([3, 7, 1, 7, 5])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(part: nn.Module, *, seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in part.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return part


def stack_of(kind: type[Cell], *, directions: int = 1, layers: int = 2) -> RecurrentStack:
    widths = [6, *[5 * directions] * (layers - 1)]
    return filled(
        RecurrentStack(
            [RecurrentLayer([kind(width, 5) for _ in range(directions)]) for width in widths]
        )
    )


def of_torch(stack: RecurrentStack, theirs: Any) -> Any:
    """Puts our weights into a module of torch."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    with torch.no_grad():
        for index, layer in enumerate(stack.layers):
            for cell, ending in zip(layer.cells, ("", "_reverse"), strict=False):  # type: ignore[arg-type]
                for name, weight in zip(names, cell.weights(), strict=True):
                    getattr(theirs, f"{name}_l{index}{ending}").copy_(weight)
    return theirs


@KINDS
def test_a_cell_equals_the_one_of_torch(kind: type[Cell]) -> None:
    ours, theirs = filled(kind(6, 5)), CELLS[kind][0](6, 5)
    with torch.no_grad():
        for weight, own in zip(theirs.parameters(), ours.weights(), strict=True):
            weight.copy_(own)
    x, state = drawn(4, 6), tuple(drawn(4, 5, seed=part) for part in range(ours.num_parts))
    expected = theirs(x, state if len(state) == 2 else state[0])
    found = ours(ours.input_projection(x), state)
    torch.testing.assert_close(found, expected if len(state) == 2 else (expected,))


@KINDS
@KERNELS
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])
def test_a_stack_equals_the_one_of_torch(
    kind: type[Cell], kernel: type[Any], directions: int, lengths: Tensor | None
) -> None:
    stack = stack_of(kind, directions=directions)
    theirs = of_torch(
        stack, CELLS[kind][1](6, 5, 2, batch_first=True, bidirectional=directions == 2)
    )
    use_recurrence(stack, kernel)
    x, places = drawn(5, 7, 6), places_of(5, 7, lengths=lengths)
    y, ends = stack(places.pack(x), places=places)
    told = x
    if lengths is not None:
        told = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, last = theirs(told)
    if lengths is not None:
        expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(places.unpack(y), expected)
    for part, theirs_last in enumerate(last if isinstance(last, tuple) else (last,)):
        by_layer = theirs_last.view(2, directions, 5, 5).transpose(1, 2).flatten(2)
        ours = torch.stack([places.unsort(end[part]) for end in ends])
        torch.testing.assert_close(ours, by_layer)


@KINDS
@pytest.mark.parametrize("directions", [1, 2])
def test_steps_and_kernel_have_the_same_slopes(kind: type[Cell], directions: int) -> None:
    stack, places = stack_of(kind, directions=directions), places_of(5, 7, lengths=LENGTHS)
    found = []
    for kernel in (SteppedOut, Kernel):
        use_recurrence(stack, kernel)
        stack.zero_grad()
        x = drawn(5, 7, 6).requires_grad_()
        y, ends = stack(places.pack(x), places=places)
        (places.unpack(y) * drawn(5, 7, 5 * directions)).sum().add(ends[0][-1].sum()).backward()
        found.append([x.grad, *(weight.grad for weight in stack.parameters())])
    torch.testing.assert_close(*found)


@KINDS
@KERNELS
def test_reading_goes_on_from_a_state(kind: type[Cell], kernel: type[Any]) -> None:
    stack = stack_of(kind)
    use_recurrence(stack, kernel)
    x = drawn(3, 7, 6)
    whole, end = stack(places_of(3, 7).pack(x), places=places_of(3, 7))
    states, outputs = None, []
    for piece in x.split([4, 1, 2], dim=1):
        places = places_of(3, piece.shape[1])
        y, states = stack(places.pack(piece), places=places, states=states)
        outputs.append(places.unpack(y))
    torch.testing.assert_close(torch.cat(outputs, dim=1), places_of(3, 7).unpack(whole))
    torch.testing.assert_close(states, end)


@KINDS
@KERNELS
def test_padding_takes_no_place(kind: type[Cell], kernel: type[Any]) -> None:
    layer = filled(RecurrentLayer([kind(6, 5), kind(6, 5)]))
    use_recurrence(layer, kernel)
    places = places_of(5, 9, lengths=LENGTHS)
    x = drawn(5, 9, 6)
    y, _ = layer(places.pack(x), places=places)
    assert len(y) == LENGTHS.sum()
    back = places.unpack(y)
    assert back.shape == (5, 9, 10)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = places_of(1, length)
        expected = alone.unpack(layer(alone.pack(x[row : row + 1, :length]), places=alone)[0])
        torch.testing.assert_close(back[row, :length], expected[0])
        assert not back[row, length:].any()


def test_a_cell_whose_gate_forgets_nothing_keeps_its_memory() -> None:
    cell = LSTMCell(1, 1)
    with torch.no_grad():
        for weight in cell.parameters():
            weight.zero_()
        cell.input_projection.bias.copy_(torch.tensor([-50.0, 50.0, 0.0, 50.0]))
    memory = torch.tensor([[0.7]])
    hidden, after = cell(cell.input_projection(torch.ones(1, 1)), (torch.zeros(1, 1), memory))
    assert after.equal(memory)
    torch.testing.assert_close(hidden, memory.tanh())


def test_every_state_of_the_stepped_form_can_be_watched() -> None:
    layer = filled(RecurrentLayer([LSTMCell(6, 5)]))
    use_recurrence(layer, SteppedOut)
    seen: list[Tensor] = []
    layer.get_submodule("cells.0.hidden").register_forward_hook(lambda *call: seen.append(call[2]))
    places = places_of(2, 4)
    y, _ = layer(places.pack(drawn(2, 4, 6)), places=places)
    assert torch.cat(seen).equal(y)


def test_a_row_without_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has no token"):
        places_of(2, 4, lengths=torch.tensor([4, 0]))


def test_a_layer_has_one_direction_or_two() -> None:
    with pytest.raises(ValueError, match="1 or 2, not 3"):
        RecurrentLayer([RNNCell(2, 2) for _ in range(3)])
