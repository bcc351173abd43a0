"""Laws of the words that skills ask about."""

import random

from cutaway.text.skills.words import (
    ask,
    common_words,
    dictionary_words,
    draw_word,
    spelled,
    words_of,
)


def test_a_word_is_in_one_split_of_every_list() -> None:
    train = {*words_of("train"), *common_words("train"), *dictionary_words("train")}
    validation = {
        *words_of("validation"),
        *common_words("validation"),
        *dictionary_words("validation"),
    }
    assert train.isdisjoint(validation)


def test_no_training_word_is_a_held_out_one_backwards() -> None:
    held_out = set(words_of("validation"))
    assert held_out.isdisjoint(word[::-1] for word in words_of("train"))


def test_one_word_in_twenty_is_held_out() -> None:
    share = len(words_of("validation")) / len(words_of("train"))
    assert 0.04 < share < 0.065


def test_validation_asks_in_the_wording_as_it_stands() -> None:
    randomness = random.Random(0)
    asked = {
        ask(["Spell {}."], "cat", split="validation", randomness=randomness) for _ in range(100)
    }
    assert asked == {"Spell cat."}


def test_training_also_asks_carelessly() -> None:
    randomness = random.Random(0)
    asked = {ask(["Spell {}."], "cat", split="train", randomness=randomness) for _ in range(300)}
    assert asked == {"Spell cat.", 'Spell "cat".', "Spell cat", "spell cat."}


def test_letters_stand_apart() -> None:
    assert spelled("cat") == "c a t"


def test_no_draw_gives_a_word_that_training_may_not_ask_about() -> None:
    randomness, allowed, common = random.Random(0), set(words_of("train")), common_words("train")
    drawn = [draw_word(randomness) for _ in range(20_000)]
    assert set(drawn) <= allowed
    # Forty in a hundred are drawn from the common ones, and so are some of the others.
    expected = 0.4 + 0.6 * len(common) / len(allowed)
    found = sum(map(set(common).__contains__, drawn)) / len(drawn)
    assert abs(found - expected) < 0.02
