"""Blocks: named by all that comes before, held while used, and never lost."""

from hypothesis import given
from hypothesis import strategies as st

from cutaway.inference.blocks import BLOCK, BlockPool, chain


def test_names_tell_a_block_and_all_before_it() -> None:
    tokens = list(range(3 * BLOCK + 5))
    names = chain(tokens)
    assert len(names) == 3
    assert chain(tokens[: 2 * BLOCK]) == names[:2]
    assert chain(tokens[2 * BLOCK :], after=names[1]) == names[2:]
    changed = chain([99, *tokens[1:]])
    assert not set(changed) & set(names)


def test_the_longest_beginning_that_is_here_is_found() -> None:
    pool = BlockPool(4)
    taken = [pool.take(name) for name in (b"a", b"b")]
    assert pool.find([b"a", b"b", b"c"]) == taken
    assert pool.find([b"x", b"a"]) == []


def test_the_end_of_the_chain_unused_for_longest_is_given_away_first() -> None:
    pool = BlockPool(3)
    for names in ((b"a", b"b"), (b"c",)):
        pool.release([block for name in names if (block := pool.take(name)) is not None])
    pool.take(b"d")
    assert [pool.has(name) for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_what_is_held_is_never_given_away() -> None:
    pool = BlockPool(2)
    assert None not in (pool.take(b"a"), pool.take(b"b"))
    assert pool.take(b"c") is None
    assert pool.has(b"a")


def test_a_pool_without_blocks_gives_none() -> None:
    pool = BlockPool(0)
    assert pool.take(b"a") is None
    assert pool.find([b"a"]) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["find", "take", "release", "forget", "clear"]),
            st.integers(0, 5),
            st.integers(1, 4),
        )
    )
)
def test_blocks_are_free_held_or_unused_after_any_sequence(
    actions: list[tuple[str, int, int]],
) -> None:
    pool, held = BlockPool(5), []
    for action, start, count in actions:
        names = [bytes([start + place]) for place in range(count)]
        if action == "find":
            held.append(pool.find(names))
        elif action == "take":
            held.append([block for name in names if (block := pool.take(name)) is not None])
        elif action == "release" and held:
            pool.release(held.pop(start % len(held)))
        elif action == "forget":
            pool.forget(names)
        elif action == "clear":
            pool.clear()
        assert pool.free + pool.held + pool.unused == 5
        assert pool.held == len({block for blocks in held for block in blocks})
    for blocks in held:
        pool.release(blocks)
    pool.clear()
    assert pool.free == 5
