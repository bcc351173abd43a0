"""Word pieces in plain Python, to be read (Schuster and Nakajima 2012, section 3; Devlin 2018, 3).

Text is cut at white space and punctuation; each word is spelt with the longest pieces of the
vocabulary, from the left. A piece inside a word begins with `##`. `library.py` does it through
`tokenizers`; tests hold the two equal, id for id. What a letter, a sign or an accent is, both ask
of `tokenizers`, so that no two versions of Unicode can differ.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.library import LibraryTokenizer
from cutaway.tokenizer.pieces import well_formed

PADDING, UNKNOWN, FIRST, SEPARATOR, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PADDING, UNKNOWN, FIRST, SEPARATOR, MASK)
"""BERT's control tokens, in the order in which they begin its vocabulary."""

INNER = "##"
"""What a piece begins with that stands inside a word."""

LONGEST_WORD = 100
"""Characters; a longer word is unknown as a whole."""


def train(texts: Iterable[str], *, vocab_size: int, lowercase: bool = True) -> LibraryTokenizer:
    """Finds the pieces through `tokenizers`, with BERT's control tokens and post-processor."""
    backend = Backend(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=INNER)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), show_progress=False
    )
    backend.train_from_iterator((well_formed(text) for text in texts), trainer=trainer)
    backend.post_processor = processors.BertProcessing(
        (SEPARATOR, SPECIAL.index(SEPARATOR)), (FIRST, SPECIAL.index(FIRST))
    )
    return LibraryTokenizer(json.loads(backend.to_str()))


def longest_first(word: str, vocabulary: Mapping[str, int]) -> list[int] | None:
    """The ids of the longest pieces that spell a word, from the left; None: none do."""
    ids: list[int] = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = word[start:end] if start == 0 else INNER + word[start:end]
            if piece in vocabulary:
                ids.append(vocabulary[piece])
                start = end
                break
        else:
            return None
    return ids


@final
class PlainWordPieceTokenizer(Tokenizer):
    """Word pieces by the loop above, from the content of a tokenizer.json."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        library = LibraryTokenizer(content)
        model = content["model"]
        if model["type"] != "WordPiece" or model.get("continuing_subword_prefix") != INNER:
            raise ValueError("the plain form reads word pieces that begin with ##")
        control = set(library.special)
        super().__init__(
            tokens=[library.token_bytes(token_id) for token_id in range(library.vocab_size)],
            special=library.special,
        )
        self._content = content
        self._pieces = {
            piece: number for piece, number in model["vocab"].items() if piece not in control
        }
        self._unknown = int(model["vocab"][model["unk_token"]])
        self._longest = int(model["max_input_chars_per_word"])
        steps = Backend.from_str(json.dumps(content))
        self._normalizer, self._splitter = steps.normalizer, steps.pre_tokenizer

    def encode(self, text: str) -> list[int]:
        text = self._normalizer.normalize_str(well_formed(text))
        ids: list[int] = []
        for word, _ in self._splitter.pre_tokenize_str(text):
            is_short = len(word) <= self._longest
            found = longest_first(word, self._pieces) if is_short else None
            ids += [self._unknown] if found is None else found
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def to_json(self) -> str:
        return json.dumps(self._content, ensure_ascii=False)
