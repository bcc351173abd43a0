"""Megabytes of text a second through our tokenizers beside `tokenizers` and `tiktoken`.

All encode the same documents with the same vocabulary, and their ids are compared before a clock
starts. `tokenizers` and our fast form train on the same text with the same pattern; the plain form,
which is there to be read, is compared with the one that `tiktoken` ships for the same purpose.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import interleaved
from interleaved import Comparison, Contestant

if TYPE_CHECKING:
    from cutaway.tokenizer.base import Tokenizer

PLAIN_BYTES = 50_000
"""Bytes of text for the plain forms, which take their time."""

PLAIN_VOCABULARY = 512
"""Tokens that the plain forms train."""

ENCODERS = {
    "ours": "ours",
    "tokenizers": "tokenizers encode_batch",
    "tokenizers-fast": "tokenizers encode_batch_fast",
    "tiktoken": "tiktoken encode_ordinary",
    "tiktoken-batch": "tiktoken encode_ordinary_batch, 2 threads",
}
TRAINERS = {"ours": "ours", "tokenizers": "tokenizers"}
PLAIN = {"ours": "ours, plain", "tiktoken": "tiktoken, educational"}


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=5)
    parser.add_argument("--corpus", default="basic-english", help="the text, by its name")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        work, name = arguments.only.split("/")
        texts = json.loads((arguments.folder / "texts.json").read_text(encoding="utf-8"))
        {"encode": _encode, "train": _train, "plain": _train_plainly}[work](
            name, texts, arguments=arguments
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), arguments=arguments)
        contestants = [
            Contestant(
                name=_name(work, name),
                words=(
                    *("--only", f"{work}/{name}", "--folder", folder),
                    *("--vocab-size", str(arguments.vocab_size)),
                ),
            )
            for work, names in (("encode", ENCODERS), ("train", TRAINERS), ("plain", PLAIN))
            for name in names
        ]
        runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    comparisons = [
        Comparison(
            name=f"{work} against {peer}",
            ours=_name(work, "ours"),
            peer=_name(work, peer),
            unit="MB/s",
        )
        for work, names in (("encode", ENCODERS), ("train", TRAINERS), ("plain", PLAIN))
        for peer in names
        if peer != "ours"
    ]
    interleaved.report(comparisons, runs, arguments=arguments)


def _name(work: str, name: str) -> str:
    told = {"encode": ENCODERS, "train": TRAINERS, "plain": PLAIN}[work][name]
    return f"{'train' if work == 'plain' else work}: {told}"


def _prepare(folder: Path, *, arguments: argparse.Namespace) -> None:
    """Writes the text and the vocabulary that all contestants share."""
    from cutaway.text.corpora import corpus
    from cutaway.tokenizer import fast

    texts = [document.text for document in corpus(arguments.corpus).documents("train")]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    fast.train(texts, vocab_size=arguments.vocab_size).save(folder)


def _encode(name: str, texts: Sequence[str], *, arguments: argparse.Namespace) -> None:
    from cutaway.tokenizer.open import open_tokenizer

    tokenizer = open_tokenizer(arguments.folder)
    encode = _encoder(name, tokenizer, folder=arguments.folder)
    sample = texts[:20]
    if encode(sample) != tokenizer.encode_batch(sample):
        raise SystemExit(f"{name} gives other ids")
    begin = time.perf_counter()
    ids = encode(texts)
    seconds = time.perf_counter() - begin
    interleaved.hand_over(value=_megabytes(texts) / seconds, tokens=sum(map(len, ids)))


def _encoder(
    name: str, tokenizer: "Tokenizer", *, folder: Path
) -> Callable[[Sequence[str]], list[list[int]]]:
    if name == "ours":
        return tokenizer.encode_batch
    if name.startswith("tokenizers"):
        from tokenizers import Tokenizer as Backend

        backend = Backend.from_file(str(folder / "tokenizer.json"))
        batch = backend.encode_batch_fast if name.endswith("-fast") else backend.encode_batch
        return lambda texts: [found.ids for found in batch(list(texts))]
    import tiktoken

    from cutaway.tokenizer.pieces import PATTERN

    control = set(tokenizer.special.values())
    encoding = tiktoken.Encoding(
        "peer",
        pat_str=PATTERN,
        mergeable_ranks={
            tokenizer.token_bytes(number): number
            for number in range(tokenizer.vocab_size)
            if number not in control
        },
        special_tokens=tokenizer.special,
    )
    if name == "tiktoken":
        return lambda texts: [encoding.encode_ordinary(text) for text in texts]
    return lambda texts: encoding.encode_ordinary_batch(list(texts), num_threads=2)


def _train(name: str, texts: Sequence[str], *, arguments: argparse.Namespace) -> None:
    begin = time.perf_counter()
    if name == "ours":
        from cutaway.tokenizer import fast

        begin = time.perf_counter()
        size = fast.train(texts, vocab_size=arguments.vocab_size).vocab_size
    else:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        from cutaway.tokenizer.base import SPECIAL
        from cutaway.tokenizer.pieces import PATTERN

        begin = time.perf_counter()
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=arguments.vocab_size,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer=trainer)
        size = backend.get_vocab_size()
    seconds = time.perf_counter() - begin
    interleaved.hand_over(value=_megabytes(texts) / seconds, seconds=seconds, vocabulary=size)


def _train_plainly(name: str, texts: Sequence[str], *, arguments: argparse.Namespace) -> None:
    from tiktoken._educational import bpe_train

    from cutaway.tokenizer import bpe
    from cutaway.tokenizer.pieces import PATTERN

    text = "\n".join(texts).encode()[:PLAIN_BYTES].decode(errors="ignore")
    begin = time.perf_counter()
    if name == "ours":
        size = bpe.train([text], vocab_size=PLAIN_VOCABULARY, special=()).vocab_size
    else:
        size = len(bpe_train(text, PLAIN_VOCABULARY, PATTERN, visualise=None))
    seconds = time.perf_counter() - begin
    interleaved.hand_over(value=_megabytes([text]) / seconds, seconds=seconds, vocabulary=size)


def _megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


if __name__ == "__main__":
    main()
