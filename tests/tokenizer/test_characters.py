"""One id for each character, and what happens to a character that has none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend

from cutaway.errors import DataError
from cutaway.text.corpora import corpus
from cutaway.tokenizer import characters


def test_the_alphabet_is_sorted_and_control_tokens_follow():
    trained = characters.train(["banana", "\n Zoë"])
    assert "".join(trained.alphabet) == "\n Zabnoë"
    assert trained.encode("Zan") == [2, 3, 5]
    assert min(trained.special.values()) == 8
    assert trained.vocab_size == 14


def test_shakespeare_has_the_65_characters_of_nanogpt():
    try:
        texts = [document.text for document in corpus("tinyshakespeare").documents("train")]
    except DataError as error:
        pytest.skip(f"tinyshakespeare is not here: {error}")
    trained = characters.train(texts, special=())
    assert "".join(trained.alphabet) == (
        "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )
    assert trained.encode("hii there") == [46, 47, 47, 1, 58, 46, 43, 56, 43]


def test_an_unknown_character_is_named_with_its_place():
    trained = characters.train(["ab\n"])
    with pytest.raises(DataError, match=r"'é' \(U\+00E9\) at position 4, line 2"):
        trained.encode("ab\naé")


def test_an_unknown_character_is_read_as_the_one_named_for_it():
    trained = characters.train(["ab"], unknown=characters.REPLACEMENT)
    assert trained.decode(trained.encode("aéb")) == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("unknown", [None, "?"])
@given(text=st.text(alphabet="ab \n?é月🙂", max_size=50))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_the_file_gives_the_same_ids_in_tokenizers(unknown: str | None, text: str):
    trained = characters.train(["ab \n?é月🙂"], unknown=unknown)
    backend = Backend.from_str(trained.to_json())
    assert backend.encode(text).ids == trained.encode(text)
    assert backend.decode(trained.encode(text)) == text


def test_an_alphabet_has_each_character_once():
    with pytest.raises(ValueError, match="single characters, each once"):
        characters.CharacterTokenizer(["a", "b", "a"])
    with pytest.raises(ValueError, match="single characters, each once"):
        characters.CharacterTokenizer(["ab"])
    with pytest.raises(ValueError, match="not in the alphabet"):
        characters.CharacterTokenizer(["a"], unknown="?")
