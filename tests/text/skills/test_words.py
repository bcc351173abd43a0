"""Laws of the words that skills ask about."""

from cutaway.text.skills.words import common_words, dictionary_words, spelled, words_of


def test_a_word_is_in_one_split_of_every_list() -> None:
    train = {*words_of("train"), *common_words("train"), *dictionary_words("train")}
    validation = {
        *words_of("validation"),
        *common_words("validation"),
        *dictionary_words("validation"),
    }
    assert train.isdisjoint(validation)


def test_one_word_in_twenty_is_held_out() -> None:
    share = len(words_of("validation")) / len(words_of("train"))
    assert 0.04 < share < 0.065


def test_letters_stand_apart() -> None:
    assert spelled("cat") == "c a t"
