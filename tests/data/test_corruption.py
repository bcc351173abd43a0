"""Hidden words: how many, which, by what; pairs of texts; the same batch for the same step."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from cutaway.data.corruption import (
    Alphabet,
    ListedDocuments,
    MaskedBatch,
    MaskedTexts,
    alphabet_of,
)
from cutaway.data.masked_loader import MaskedLoader
from cutaway.data.masking import MaskingConfig
from cutaway.data.shards import write_shards
from cutaway.data.sources import TextSource
from cutaway.errors import ConfigError, DataError
from cutaway.tokenizer import characters, wordpiece

FIRST, SEPARATOR, MASK, LETTERS = 0, 1, 2, 3
ALPHABET = Alphabet(
    first=FIRST,
    separator=SEPARATOR,
    mask=MASK,
    ordinary=np.arange(LETTERS, 1000),
    # Every third id goes on with a word.
    begins_word=np.arange(1000) % 3 != 0,
)
ONE_PART = MaskingConfig(next_sentence=False)


def documents(count: int = 60, *, seed: int = 1) -> list[list[int]]:
    """Documents of 5 to 80 ids, each id once or more."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(5, 80, count)
    return [generator.integers(LETTERS, 1000, size).tolist() for size in sizes]


def texts(config: MaskingConfig, *, listed: list[list[int]] | None = None) -> MaskedTexts:
    return MaskedTexts(
        ListedDocuments(listed or documents()),
        name="toy",
        alphabet=ALPHABET,
        config=config,
        row_length=48,
        seed=7,
    )


def epoch(made: MaskedTexts, number: int = 0) -> MaskedBatch:
    return made.rows(np.arange(made.num_rows) + number * made.num_rows)


def restored(batch: MaskedBatch) -> torch.Tensor:
    """The rows with the hidden words put back."""
    tokens = batch.tokens.clone()
    rows = torch.arange(len(tokens))[:, None].expand_as(batch.places)
    mask = batch.loss_mask
    tokens[rows[mask], batch.places[mask]] = batch.targets[mask]
    return tokens


def parts(batch: MaskedBatch) -> list[tuple[list[int], list[int]]]:
    """Both parts of every text, without markers."""
    found = []
    tokens = restored(batch)
    for row, document, segment in zip(tokens, batch.documents, batch.segments, strict=True):
        for number in range(1, int(document.max()) + 1):
            ids = [row[(document == number) & (segment == part)].tolist() for part in (0, 1)]
            assert ids[0][0] == FIRST
            assert ids[0][-1] == SEPARATOR
            assert ids[1][-1:] in ([], [SEPARATOR])
            found.append((ids[0][1:-1], ids[1][:-1]))
    return found


def test_texts_are_whole_and_each_is_read_once_in_an_epoch() -> None:
    found = [first for first, second in parts(epoch(texts(ONE_PART))) if not second]
    pieces = [ids[at : at + 46] for ids in documents() for at in range(0, len(ids), 46)]
    assert sorted(found) == sorted(piece for piece in pieces if len(piece) >= 2)


def test_a_share_of_each_text_is_hidden_and_never_a_marker() -> None:
    batch = epoch(texts(ONE_PART))
    hidden = torch.zeros_like(batch.tokens, dtype=torch.bool)
    rows = torch.arange(len(hidden))[:, None].expand_as(batch.places)
    hidden[rows[batch.loss_mask], batch.places[batch.loss_mask]] = True
    assert (restored(batch)[hidden] >= LETTERS).all()
    assert int(hidden.sum()) == int(batch.loss_mask.sum())  # no place twice
    for row, document in zip(hidden, batch.documents, strict=True):
        for number in range(1, int(document.max()) + 1):
            size = int((document == number).sum()) - 2
            assert int(row[document == number].sum()) == max(1, round(0.15 * size))


def test_of_hidden_tokens_four_in_five_are_masked_and_half_of_the_rest_stay() -> None:
    made = texts(ONE_PART, listed=documents(2000))
    batch = epoch(made)
    seen = batch.tokens.gather(1, batch.places)[batch.loss_mask]
    targets = batch.targets[batch.loss_mask]
    masked, stays = seen == MASK, seen == targets
    assert len(targets) > 10_000
    assert masked.float().mean() == pytest.approx(0.8, abs=0.015)
    assert stays.float().mean() == pytest.approx(0.1, abs=0.012)
    other = seen[~masked & ~stays]
    assert other.float().mean() == pytest.approx((LETTERS + 1000) / 2, rel=0.05)


def test_nothing_else_is_changed() -> None:
    batch = epoch(texts(ONE_PART))
    same = restored(batch)
    changed = (same != batch.tokens).sum()
    assert int(changed) <= int(batch.loss_mask.sum())
    assert (batch.tokens[batch.documents == 0] == 0).all()


def test_whole_words_are_hidden_with_all_their_pieces() -> None:
    made = texts(MaskingConfig(next_sentence=False, whole_words=True, share=0.3))
    batch = epoch(made)
    tokens = restored(batch)
    hidden = torch.zeros_like(tokens, dtype=torch.bool)
    rows = torch.arange(len(hidden))[:, None].expand_as(batch.places)
    hidden[rows[batch.loss_mask], batch.places[batch.loss_mask]] = True
    begins = torch.from_numpy(ALPHABET.begins_word)[tokens]
    inner = ~begins[:, 1:] & (tokens[:, :-1] >= LETTERS) & (tokens[:, 1:] >= LETTERS)
    assert inner.any()
    assert hidden[:, 1:][inner].equal(hidden[:, :-1][inner])
    share = float(batch.loss_mask.sum()) / float((tokens >= LETTERS).sum())
    assert 0.25 < share <= 0.31


def test_half_of_the_second_parts_follow_and_the_others_come_from_elsewhere() -> None:
    listed = documents(400)
    batch = epoch(texts(MaskingConfig(), listed=listed))
    joined = {tuple(ids[at : at + 45]) for ids in listed for at in range(0, len(ids), 45)}
    asked = batch.follows[batch.follows >= 0].tolist()
    assert np.mean(asked) == pytest.approx(0.5, abs=0.05)
    found = parts(batch)
    assert len(found) == len(asked)
    order = [int(follows) for row in batch.follows for follows in row if follows >= 0]
    runs = [" ".join(map(str, ids)) for ids in listed]
    for (first, second), follows in zip(found, order, strict=True):
        assert first
        assert second
        assert (tuple(first + second) in joined) == bool(follows)
        spelled = " ".join(map(str, second))
        assert any(spelled in run for run in runs)


def test_a_batch_is_a_function_of_its_rows_and_epochs_differ() -> None:
    made = texts(MaskingConfig())
    whole, again = epoch(made, 3), epoch(texts(MaskingConfig()), 3)
    for field in fields(MaskedBatch):
        assert getattr(whole, field.name).equal(getattr(again, field.name))
    one = made.rows(np.array([3 * made.num_rows + 5]))
    for field in fields(MaskedBatch):
        assert getattr(whole, field.name)[5].equal(getattr(one, field.name)[0])
    assert not whole.tokens.equal(epoch(made, 4).tokens)


def test_processes_share_the_rows_of_a_step_whatever_their_number(tmp_path: Path) -> None:
    sources = [
        TextSource(
            name=name,
            shards=write_shards(
                ((ids, None) for ids in documents(30, seed=seed)), tmp_path / name, vocab_size=1000
            ),
            share=share,
        )
        for seed, (name, share) in enumerate({"one": 1.0, "two": 2.0}.items())
    ]

    def loader(rank: int, world: int) -> MaskedLoader:
        return MaskedLoader(
            sources,
            alphabet=ALPHABET,
            config=MaskingConfig(),
            rows=6,
            row_length=48,
            seed=1,
            place=(rank, world),
        )

    alone = loader(0, 1)
    for step in (0, 4):
        halves = [loader(rank, 2).batch(step) for rank in range(2)]
        whole = alone.batch(step)
        assert whole.tokens.shape == (6, 48)
        assert sorted(whole.tokens.tolist()) == sorted(
            row for half in halves for row in half.tokens.tolist()
        )
        assert whole.places.shape[1] == halves[0].places.shape[1]


def test_one_document_has_nothing_that_does_not_follow() -> None:
    with pytest.raises(DataError, match=r"masking.next_sentence=false"):
        texts(MaskingConfig(), listed=[[5] * 30])


def test_a_tokenizer_without_a_mask_is_told_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match=r"no \[CLS\] and no \[SEP\] and no \[MASK\]"):
        alphabet_of(characters.CharacterTokenizer("abc"))


def test_pieces_inside_a_word_are_known() -> None:
    tokenizer = wordpiece.train(["older oldest newer newest low"] * 9, vocab_size=40)
    alphabet = alphabet_of(tokenizer)
    ids = tokenizer.encode("newest low")
    assert alphabet.begins_word[ids].tolist() == [
        not tokenizer.token_bytes(each).isalpha() for each in ids
    ]
    assert not set(alphabet.ordinary) & set(tokenizer.special.values())
