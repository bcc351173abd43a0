"""Guesses for the rows of the engine, and how many are worth a try (Leviathan et al. 2023, section
3: a pass over several tokens costs little more than one over a single token).

Here a guess is right where it is the token that the row would have written anyway: each place of an
answer has its own uniform number, and the sampler decides with it whoever has guessed. So a text is
the same with guesses and without, sampled or greedy; only the number of passes differs.
"""

from collections.abc import Callable, Sequence
from typing import final

from cutaway.inference.row import Row
from cutaway.inference.speculative import Guesser

MOST_PASS = 16
"""Tokens of a pass over all rows, guesses included: with more, its products cost more than they
save, and of sixteen rows none is guessed for."""

MakeGuesser = Callable[[], Guesser]
"""Makes the guesser of one row."""


@final
class Guessed:
    """What is guessed of one row, as far as guessing has paid there."""

    def __init__(self, guesser: Guesser) -> None:
        self._guesser = guesser
        self._reach = MOST_PASS
        self.ids: list[int] = []
        """The guesses that the next pass checks."""

    def guess(self, row: Row, *, most: int) -> None:
        """Guesses at most so many tokens that may follow."""
        # The pass itself adds a token after the guesses.
        most = min(most, self._reach, row.room - len(row.ids) - 1)
        self.ids = []
        if most > 0:
            text = (*row.request.prompt, *row.ids)
            self.ids = self._guesser.guess(
                text, most=most, sampler=row.request.sampler, uniforms=row.uniforms(most)
            ).ids

    def learn(self, right: int) -> None:
        """Reaches further where all guesses were right, and no further than they were elsewhere."""
        if self.ids:
            is_all = right == len(self.ids)
            self._reach = min(MOST_PASS, 2 * self._reach) if is_all else right + 1


@final
class Guessing:
    """The guesses for all rows that run."""

    def __init__(self, make: MakeGuesser, *, vocabulary: int) -> None:
        """Raises UsageError where the guessers do not fit the model."""
        self._make, self._vocabulary = make, vocabulary
        self._guessed: dict[int, Guessed] = {}
        self._begin()

    def guess(self, rows: Sequence[Row], *, room: int) -> list[list[int]]:
        """What may follow each row; `room`: slots of the longest row beside its next token."""
        most = min(MOST_PASS // len(rows) - 1, room)
        for row in rows:
            if row.id not in self._guessed:
                self._guessed[row.id] = Guessed(self._begin())
            self._guessed[row.id].guess(row, most=most)
        return [self._guessed[row.id].ids for row in rows]

    def learn(self, row: Row, *, right: int) -> None:
        """Takes note of how many guesses were right."""
        self._guessed[row.id].learn(right)

    def forget(self, row: Row) -> None:
        """Lets go of what the guesser of a row remembers."""
        self._guessed.pop(row.id, None)

    def clear(self) -> None:
        """Forgets all rows."""
        self._guessed.clear()

    def _begin(self) -> Guesser:
        guesser = self._make()
        guesser.begin(vocabulary=self._vocabulary)
        return guesser
