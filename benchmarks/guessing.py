"""When guessing ahead pays: what a pass over several tokens costs, and what real texts save by it.

The peer of each way to guess is the same engine without guesses; the texts are the same, which the
script checks. A pass of n tokens is timed against a pass of one after 128 tokens of text.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import interleaved
import torch
from interleaved import Comparison, Contestant

PASSES = (1, 2, 4, 8, 16)
TEXT = 128
"""Tokens that stand in the cache while passes are timed."""
SHAPE = {"width": 512, "num_layers": 8, "num_heads": 8, "num_key_value_heads": 4}
"""The shape of 29.5 million weights that `generation.py` measures, too."""


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--model", type=Path, help="a MODEL that writes real texts")
    parser.add_argument("--draft", type=Path, help="a smaller MODEL with the same tokenizer")
    parser.add_argument(
        "--prompt", action="append", help="what is gone on with; as often as wanted"
    )
    parser.add_argument("--form", choices=("text", "chat"), default="text")
    parser.add_argument("--weights", default="fp32", help="plain, fp32, bf16 or int8")
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.only:
        kind, name = arguments.only.split("/")
        if kind == "pass":
            _time_passes(int(name), weights=arguments.weights)
        else:
            _write(arguments, guess=name)
        return
    names = [f"pass/{count}" for count in PASSES]
    if arguments.model is not None:
        names += ["write/none", "write/prompt", *["write/draft"][: arguments.draft is not None]]
    given = _words(arguments)
    contestants = [Contestant(name=name, words=("--only", name, *given)) for name in names]
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    comparisons = [
        Comparison(
            name=name,
            ours=name,
            peer="pass/1" if name.startswith("pass") else "write/none",
            unit="ms" if name.startswith("pass") else "tokens/s",
            more_is_better=name.startswith("write"),
        )
        for name in names
        if name not in ("pass/1", "write/none")
    ]
    interleaved.report(comparisons, runs, arguments=arguments)


def _words(arguments: argparse.Namespace) -> list[str]:
    words = ["--weights", arguments.weights, "--form", arguments.form]
    words += ["--max-tokens", str(arguments.max_tokens)]
    words += ["--temperature", str(arguments.temperature)]
    for name in ("model", "draft"):
        value = getattr(arguments, name)
        words += [] if value is None else [f"--{name}", str(value)]
    for prompt in arguments.prompt or ():
        words += ["--prompt", prompt]
    return words


def _time_passes(count: int, *, weights: Any) -> None:
    """Hands over the milliseconds of a pass over so many tokens."""
    from cutaway.inference.fast import accelerate
    from cutaway.inference.speculative import cut
    from cutaway.models.catalog import build

    sizes = {"vocab_size": 8192, "context_length": 512, "hidden_width": 1408, **SHAPE}
    model: Any = build({"architecture": "llama", **sizes}).eval()
    if weights != "plain":
        model = accelerate(model, weights=weights).model
    cache = model.new_cache(1, TEXT + max(PASSES))
    times = []
    with torch.inference_mode():
        model(torch.ones(1, TEXT, dtype=torch.int64), cache=cache)
        tokens = torch.ones(1, count, dtype=torch.int64)
        for _ in range(60):
            begun = time.perf_counter()
            model(tokens, cache=cache)
            times.append(time.perf_counter() - begun)
            cut(cache, TEXT)
    interleaved.hand_over(value=1000 * statistics.median(times))


def _write(arguments: argparse.Namespace, *, guess: str) -> None:
    """Hands over the tokens a second of all prompts, one after the other."""
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.inference.request import Request, Token
    from cutaway.inference.sampling import choose_sampler
    from cutaway.interop.open import open_model
    from cutaway.stages.guessing import make_guesser
    from cutaway.text.conversations import Conversation, Message
    from cutaway.tokenizer.chat import ChatFormat

    opened = open_model(arguments.model)
    model, tokenizer = opened.model, opened.tokenizer
    if arguments.weights != "plain":
        model = accelerate(model, weights=arguments.weights).model
    named = {"none": "", "prompt": "prompt", "draft": str(arguments.draft)}[guess]
    guesser = make_guesser(named, tokenizer=tokenizer, device="cpu")
    engine = Engine(model, tokenizer, guesser=guesser, shared_bytes=0)
    sampler = choose_sampler(temperature=arguments.temperature)
    written, passes, seconds, digest = 0, 0, 0.0, 0
    for seed, line in enumerate(arguments.prompt):
        prompt = tokenizer.prompt(line)
        if arguments.form == "chat":
            asked = Conversation(messages=(Message(role="user", content=line),))
            prompt = ChatFormat(tokenizer).prompt(asked)
        engine.submit(
            Request(
                prompt=tuple(prompt), sampler=sampler, max_tokens=arguments.max_tokens, seed=seed
            )
        )
        begun = time.perf_counter()
        while not engine.is_idle:
            ids = [event.token for event in engine.step() if isinstance(event, Token)]
            written, passes = written + len(ids), passes + bool(ids)
            digest = hash((digest, *ids))
        seconds += time.perf_counter() - begun
    told = engine.statistics()
    interleaved.hand_over(
        value=written / seconds,
        tokens_per_pass=written / passes,
        guessed=told.guessed_tokens,
        accepted=told.accepted_tokens,
        text=float(digest % 10**6),
    )


if __name__ == "__main__":
    main()
