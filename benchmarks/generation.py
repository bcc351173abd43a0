"""Tokens a second in writing: ours beside transformers and llama.cpp, the same weights in all.

Greedy, from a prompt of 16 tokens, one stream and sixteen at once, the reading of the prompt
included. Ours is `Engine` on an accelerated decoder; transformers runs `generate` with its cache;
llama.cpp (by llama-cpp-python) decodes GGUF files of the same weights. `limit` is what the memory
allows one stream: the time to read as many bytes as the model has weights, in the same process.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import generation_peers
import interleaved
from interleaved import Comparison, Contestant

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {
        "architecture": "llama",
        "vocab_size": 8192,
        "context_length": 1024,
        "width": 512,
        "num_layers": 8,
        "num_heads": 8,
        "num_key_value_heads": 8,
        "hidden_width": 1376,
        "tied": True,
    },
    "gpt2": {
        "architecture": "gpt",
        "vocab_size": 50_257,
        "context_length": 1024,
        "width": 768,
        "num_layers": 12,
        "num_heads": 12,
    },
}
"""A Llama of 29.5 million weights, and GPT-2 with its 124 million."""

KINDS = (
    *("ours/fp32", "ours/bf16", "ours/int8"),
    *("transformers/fp32", "transformers/bf16"),
    *("llama.cpp/fp32", "llama.cpp/bf16", "llama.cpp/int8"),
)
PEERS = {
    "fp32": ("transformers/fp32", "llama.cpp/fp32"),
    "bf16": ("transformers/bf16", "llama.cpp/bf16"),
    "int8": ("transformers/bf16", "llama.cpp/int8"),  # transformers has no int8 of its own here
}
STREAMS = (1, 16)
PROMPT = 16
LONG_PROMPT = 512
ALIKE = 496
"""Tokens of the long prompt that another prompt shares, where a prefix is kept."""

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
WEIGHTS = "weights.safetensors"


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--shape", choices=[*SHAPES, "both"], default="both")
    parser.add_argument("--tokens", type=int, default=128, help="tokens that each stream writes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        measure(
            arguments.only, shape=arguments.shape, folder=arguments.folder, tokens=arguments.tokens
        )
        return
    shapes = list(SHAPES) if arguments.shape == "both" else [arguments.shape]
    runs: interleaved.Runs = {}
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            prepare(shape, folder=Path(folder), kinds=arguments.kinds)
            runs |= _run_in_turn(shape, folder=Path(folder), arguments=arguments)
    comparisons = [
        comparison
        for shape in shapes
        for comparison in _comparisons(shape)
        if {comparison.ours, comparison.peer} <= runs.keys()
    ]
    interleaved.report(comparisons, runs, arguments=arguments)


def prepare(shape: str, *, folder: Path, kinds: Sequence[str]) -> None:
    """Draws the weights and writes them once, for us and for everybody else."""
    from safetensors.torch import save_file

    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build
    from cutaway.models.weights import weights_of

    model = build(SHAPES[shape], generator=seeded_generator(0, "weights"))
    save_file(
        {name: weight.contiguous() for name, weight in weights_of(model).items()}, folder / WEIGHTS
    )
    for kind in kinds:
        if kind.startswith("llama.cpp/"):
            weights = kind.partition("/")[2]
            generation_peers.write_file(model, folder / f"{weights}.gguf", weights=weights)


def _run_in_turn(shape: str, *, folder: Path, arguments: argparse.Namespace) -> interleaved.Runs:
    found: interleaved.Runs = {}
    for number in range(1, arguments.runs + 1):
        for kind in arguments.kinds:
            words = ("--only", kind, "--shape", shape, "--folder", str(folder))
            contestant = Contestant(name=kind, words=(*words, "--tokens", str(arguments.tokens)))
            measured = interleaved.run_once(Path(__file__), contestant)
            told = ", ".join(f"{key} {value:,.4g}" for key, value in measured.items())
            interleaved.say(f"run {number} of {arguments.runs}: {shape}, {kind}: {told}")
            for streams in STREAMS:
                name = _name(kind, shape=shape, streams=streams)
                found.setdefault(name, []).append(measured[f"streams_{streams}"])
            if "limit" in measured:
                found.setdefault(_limit(kind, shape=shape), []).append(measured["limit"])
                for prompt in ("new", "shared"):
                    name = _first(kind, shape=shape, prompt=prompt)
                    found.setdefault(name, []).append(measured[f"first_{prompt}_s"])
    return found


def _name(kind: str, *, shape: str, streams: int) -> str:
    return f"{shape}: {kind}, {streams} stream{'s' if streams > 1 else ''}"


def _limit(kind: str, *, shape: str) -> str:
    return f"{shape}: what memory allows, {kind.partition('/')[2]}"


def _first(kind: str, *, shape: str, prompt: str) -> str:
    return f"{shape}: {kind}, first token of {LONG_PROMPT}, {prompt} prefix"


def _comparisons(shape: str) -> list[Comparison]:
    found = [
        Comparison(
            name=f"{shape}, {streams} streams: {weights} against {peer}",
            ours=_name(f"ours/{weights}", shape=shape, streams=streams),
            peer=_name(peer, shape=shape, streams=streams),
            unit="tokens/s",
        )
        for streams in STREAMS
        for weights, peers in PEERS.items()
        for peer in peers
    ]
    for weights in BYTES:
        kind = f"ours/{weights}"
        found += [
            Comparison(
                name=f"{shape}: {weights} against what memory allows",
                ours=_name(kind, shape=shape, streams=1),
                peer=_limit(kind, shape=shape),
                unit="tokens/s",
            ),
            Comparison(
                name=f"{shape}: {weights}, first token, shared prefix against new",
                ours=_first(kind, shape=shape, prompt="shared"),
                peer=_first(kind, shape=shape, prompt="new"),
                unit="s",
                more_is_better=False,
            ),
        ]
    return found


def measure(kind: str, *, shape: str, folder: Path, tokens: int) -> None:
    """Writes with one contestant in this process, and hands over tokens per second."""
    from cutaway import devices

    devices.prepare_process()
    devices.set_threads()
    name, _, weights = kind.partition("/")
    prompts = draw_prompts(16, length=PROMPT, vocabulary=SHAPES[shape]["vocab_size"])
    figures: dict[str, float] = {}
    if name == "ours":
        write, figures = _ours(shape, folder=folder, weights=weights)
    elif name == "transformers":
        write = generation_peers.transformers_writer(load(shape, folder=folder), weights=weights)
    else:
        path = folder / f"{weights}.gguf"
        write = generation_peers.llama_writer(path, most_rows=16, length=PROMPT + tokens)
    for streams in STREAMS:
        write(prompts[:streams], 8)  # warm
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            ids = write(prompts[:streams], tokens)
            seconds.append(time.perf_counter() - start)
        figures[f"streams_{streams}"] = streams * tokens / statistics.median(seconds)
        # Greedy texts of the same weights begin alike, whoever writes them.
        figures[f"begins_{streams}"] = sum(row[0] for row in ids)
    interleaved.hand_over(value=figures["streams_1"], **figures)


def load(shape: str, *, folder: Path) -> Any:
    from safetensors.torch import load_file

    from cutaway.models.catalog import build
    from cutaway.models.weights import load_weights

    model = build(SHAPES[shape])
    load_weights(model, load_file(folder / WEIGHTS))
    return model.eval()


def draw_prompts(rows: int, *, length: int, vocabulary: int) -> list[list[int]]:
    import torch

    generator = torch.Generator().manual_seed(1)
    return torch.randint(vocabulary, (rows, length), generator=generator).tolist()


def _ours(
    shape: str, *, folder: Path, weights: str
) -> tuple[Callable[[list[list[int]], int], list[list[int]]], dict[str, float]]:
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.inference.sampling import Greedy

    model = load(shape, folder=folder)
    count = sum(weight.numel() for weight in model.parameters())
    found = accelerate(model, weights=weights)
    if not found.is_native:
        raise SystemExit(found.reason)
    del model
    words = generation_peers.Numbers(SHAPES[shape]["vocab_size"])

    def write(prompts: list[list[int]], tokens: int) -> Any:
        engine = Engine(found.model, words)
        done = engine.generate(prompts, sampler=Greedy(), max_tokens=tokens, stop_ids=())
        return [completion.ids for completion in done]

    figures = {"limit": memory_limit(count * BYTES[weights])}
    return write, figures | _first_tokens(found.model, words)


def _first_tokens(model: Any, words: Any) -> dict[str, float]:
    """Seconds to the first token of a prompt that is new, and of one that began like another."""
    from cutaway.inference.engine import Engine
    from cutaway.inference.request import Request, Token
    from cutaway.inference.sampling import Greedy

    seconds: dict[str, list[float]] = {"first_new_s": [], "first_shared_s": []}
    one, other = draw_prompts(2, length=LONG_PROMPT, vocabulary=words.vocab_size)
    for _ in range(5):
        engine = Engine(model, words)
        for name, prompt in zip(seconds, (one, one[:ALIKE] + other[ALIKE:]), strict=True):
            start = time.perf_counter()
            engine.submit(Request(prompt=tuple(prompt), sampler=Greedy(), max_tokens=1))
            while not any(isinstance(event, Token) for event in engine.step()):
                pass
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def memory_limit(size: int) -> float:
    """How often a second this many bytes can be read."""
    import torch

    buffer = torch.ones(size // 4)
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        buffer.sum()
        seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(seconds)


if __name__ == "__main__":
    main()
