"""How soon an answer begins: a long prompt that is new beside one whose beginning was read before.

Ours alone, through `Engine.submit` and `step` as the server uses it, on an accelerated decoder. The
prompts have 512 tokens; of the second, the first 496 stood at the beginning of another prompt.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import generation
import interleaved
from interleaved import Comparison, Contestant

WEIGHTS = ("fp32", "bf16", "int8")
LENGTH = 512
SHARED = 496
"""Tokens that the prompts have in common; a multiple of a block's 16."""
TIMES = 7
"""Measurements of a run; the median counts."""


def main() -> None:
    """Measures one format where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--shape", choices=[*generation.SHAPES], default="llama")
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments.only, shape=arguments.shape)
        return
    found: interleaved.Runs = {}
    for number in range(1, arguments.runs + 1):
        for weights in WEIGHTS:
            words = ("--only", weights, "--shape", arguments.shape)
            contestant = Contestant(name=weights, words=words)
            measured = interleaved.run_once(Path(__file__), contestant)
            interleaved.say(f"run {number} of {arguments.runs}: {weights}: {measured}")
            for kind in ("new", "shared"):
                found.setdefault(_name(weights, kind), []).append(measured[kind])
    interleaved.report(_comparisons(arguments.shape), found, arguments=arguments)


def _name(weights: str, kind: str) -> str:
    return f"{weights}, {kind} prefix"


def _comparisons(shape: str) -> list[Comparison]:
    return [
        Comparison(
            name=f"{shape}: {weights}, first token of {LENGTH}, shared prefix against new",
            ours=_name(weights, "shared"),
            peer=_name(weights, "new"),
            unit="s",
            more_is_better=False,
        )
        for weights in WEIGHTS
    ]


def measure(weights: str, *, shape: str) -> None:
    """Times both kinds of prompt in this process, in turn."""
    import torch

    from cutaway import devices
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.models.catalog import build

    devices.prepare_process()
    devices.set_threads()
    generator = devices.seeded_generator(0, "weights")
    model = build(generation.SHAPES[shape], generator=generator).eval()
    found = accelerate(model, weights=weights)
    if not found.is_native:
        raise SystemExit(found.reason)
    engine = Engine(found.model, generation._words(generation.SHAPES[shape]["vocab_size"]))
    prompts = torch.randint(
        generation.SHAPES[shape]["vocab_size"],
        (2 * TIMES + 2, LENGTH),
        generator=torch.Generator().manual_seed(1),
    ).tolist()
    seconds: dict[str, list[float]] = {"new": [], "shared": []}
    for turn in range(TIMES + 1):
        new, other = prompts[2 * turn], prompts[2 * turn + 1]
        for kind, prompt in (("new", new), ("shared", new[:SHARED] + other[SHARED:])):
            taken = first_token(engine, prompt)
            if turn:  # the first turn warms
                seconds[kind].append(taken)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    interleaved.hand_over(value=medians["new"] / medians["shared"], **medians)


def first_token(engine: Any, prompt: list[int]) -> float:
    """Seconds from a request to its first token, and nothing left over afterwards."""
    from cutaway.inference.request import Request, Token
    from cutaway.inference.sampling import Greedy

    start = time.perf_counter()
    request = Request(prompt=tuple(prompt), sampler=Greedy(), max_tokens=2, stop_ids=frozenset())
    id_ = engine.submit(request)
    while not any(isinstance(event, Token) and event.id == id_ for event in engine.step()):
        pass
    seconds = time.perf_counter() - start
    while not engine.is_idle:
        engine.step()
    return seconds


if __name__ == "__main__":
    main()
