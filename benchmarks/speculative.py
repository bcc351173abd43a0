"""What guessing ahead is worth on one stream: the cost of checking, and the best that it can give.

A pass over several tokens at one place in the text, against a pass over one; and a text that goes
on repeating itself (weights at random, greedily), written by the plain engine and with guesses from
the text (`PromptLookup`), all of which are right: no text gains more.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import generation
import generation_peers
import interleaved
from interleaved import Comparison, Contestant

SEVERAL = (2, 4, 6, 9)
"""Tokens of a pass; nine is what eight guesses take."""
BEFORE = 256
"""Tokens in the cache before a pass."""


def main() -> None:
    """Measures one format where the parent asks for it, else all in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--shape", choices=[*generation.SHAPES], default="llama")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of the text")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments)
        return
    runs: interleaved.Runs = {}
    with tempfile.TemporaryDirectory() as folder:
        generation.prepare(arguments.shape, folder=Path(folder), kinds=())
        words = ("--shape", arguments.shape, "--folder", folder, "--tokens", str(arguments.tokens))
        for number in range(1, arguments.runs + 1):
            for weights in generation.BYTES:
                contestant = Contestant(name=weights, words=("--only", weights, *words))
                measured = interleaved.run_once(Path(__file__), contestant)
                interleaved.say(f"run {number} of {arguments.runs}: {weights}: {measured}")
                for name, figure in measured.items():
                    runs.setdefault(f"{weights}: {name}", []).append(figure)
    interleaved.report(
        [each for weights in generation.BYTES for each in _comparisons(weights)],
        runs,
        arguments=arguments,
    )


def _comparisons(weights: str) -> list[Comparison]:
    passes = [
        Comparison(
            name=f"{weights}: a pass over {count} tokens against a pass over one",
            ours=f"{weights}: pass_{count}_s",
            peer=f"{weights}: pass_1_s",
            unit="s",
            more_is_better=False,
        )
        for count in SEVERAL
    ]
    return [
        *passes,
        Comparison(
            name=f"{weights}: guesses that are all right against none",
            ours=f"{weights}: guessed",
            peer=f"{weights}: value",
            unit="tokens/s",
        ),
    ]


def measure(arguments: argparse.Namespace) -> None:
    """Hands over seconds of passes, and tokens a second with guesses and without."""
    from cutaway import devices
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.inference.sampling import Greedy
    from cutaway.inference.speculative import PromptLookup, speculate

    devices.prepare_process()
    devices.set_threads()
    found = accelerate(
        generation.load(arguments.shape, folder=arguments.folder), weights=arguments.only
    )
    if not found.is_native:
        raise SystemExit(found.reason)
    model, tokens = found.model, arguments.tokens
    numbers = generation_peers.Numbers(model.config.vocab_size)
    prompt = generation.draw_prompts(1, length=16, vocabulary=numbers.vocab_size)[0]
    engine = Engine(model, numbers)
    plain, guessed = [], []
    for _ in range(4):
        start = time.perf_counter()
        done = engine.generate([prompt], sampler=Greedy(), max_tokens=tokens, stop_ids=())[0]
        plain.append(time.perf_counter() - start)
        start = time.perf_counter()
        told = speculate(model, prompt, guesser=PromptLookup(), sampler=Greedy(), max_tokens=tokens)
        guessed.append(time.perf_counter() - start)
        if told.completion.ids != done.ids:
            raise SystemExit("with guesses another text is written")
    figures = {f"pass_{count}_s": _seconds_of_a_pass(model, count) for count in (1, *SEVERAL)}
    interleaved.hand_over(
        value=tokens / statistics.median(plain),
        guessed=tokens / statistics.median(guessed),
        passes=told.passes,
        accepted=told.accepted,
        **figures,
    )


def _seconds_of_a_pass(model: Any, count: int) -> float:
    import torch

    from cutaway.inference.speculative import cut

    seconds = []
    cache = model.new_cache(1, BEFORE + count)
    with torch.inference_mode():
        model.hidden(torch.arange(BEFORE)[None], cache=cache)
        for _ in range(30):
            start = time.perf_counter()
            model(torch.arange(count)[None], cache=cache)
            seconds.append(time.perf_counter() - start)
            cut(cache, BEFORE)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
