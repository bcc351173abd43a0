"""Tokens a second in beam search: ours beside transformers' Marian of the same shape.

    .venv/bin/python benchmarks/beam.py --json benchmarks/results/beam.json

Both have random weights and no token that ends a target: every target has its full length.
"""

import time
from pathlib import Path
from typing import Any

import interleaved

SIZES = {
    "vocab_size": 8000,
    "context_length": 128,
    "width": 256,
    "num_layers": 3,
    "num_heads": 8,
    "hidden_width": 1024,
}
SOURCES, BEAMS, TOKENS = 32, 4, 40
LENGTHS = (8, 30)
"""Tokens of the shortest and of the longest source."""
REPEATS = 3


def main() -> None:
    """Measures one contestant, or starts them all in turn."""
    arguments = interleaved.options(__doc__.splitlines()[0], runs=3).parse_args()
    if arguments.only:
        side, precision = arguments.only.split("/")
        measure(side, precision=precision)
        return
    names = {
        f"{side}/{precision}": f"{'cutaway' if side == 'ours' else 'transformers'} {precision}"
        for precision in ("fp32", "bf16")
        for side in ("ours", "peer")
    }
    contestants = [
        interleaved.Contestant(name=name, words=("--only", words)) for words, name in names.items()
    ]
    comparisons = [
        interleaved.Comparison(
            name=f"beam search, {BEAMS} beams, {precision}",
            ours=f"cutaway {precision}",
            peer=f"transformers {precision}",
            unit="tokens of best targets a second",
        )
        for precision in ("fp32", "bf16")
    ]
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    interleaved.report(comparisons, runs, arguments=arguments)


def measure(side: str, *, precision: str) -> None:
    """Writes for all sources a few times, after once to warm up, and tells the best pace."""
    import torch

    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(*LENGTHS, (SOURCES,), generator=generator).tolist()
    sources = [
        torch.randint(3, SIZES["vocab_size"], (length,), generator=generator).tolist()
        for length in lengths
    ]
    write, weights = _ours(precision) if side == "ours" else _peer()
    seconds = []
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            written = write(sources)
            seconds.append(time.perf_counter() - start)
            if any(length != TOKENS for length in written):
                raise SystemExit(f"{side} wrote targets of other lengths: {written}")
    interleaved.hand_over(value=SOURCES * TOKENS / min(seconds[1:]), weights=weights)


def _ours(precision: str) -> tuple[Any, int]:
    """As `cutaway generate MODEL TEXT weights=fp32` writes, or weights=bf16."""
    import torch

    from cutaway.inference.beam import BeamSearch, beam_search
    from cutaway.inference.fast_pairs import accelerate_pair
    from cutaway.models.catalog import build

    plain: Any = build({"architecture": "transformer", **SIZES}, generator=torch.Generator())
    fast = accelerate_pair(plain.eval(), weights="bf16" if precision == "bf16" else "fp32")
    if not fast.is_native:
        raise SystemExit(f"no fast form: {fast.reason}")
    search = BeamSearch(beams=BEAMS, max_tokens=TOKENS, length_penalty=0.6)

    def write(sources: list[list[int]]) -> list[int]:
        found = beam_search(
            fast.model, sources, search=search, begin_id=0, end_id=-1, choose=fast.choose
        )
        return [len(best[0].ids) for best in found]

    return write, sum(weight.numel() for weight in plain.parameters())


def _peer() -> tuple[Any, int]:
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    width, layers, heads = SIZES["width"], SIZES["num_layers"], SIZES["num_heads"]
    config = MarianConfig(
        vocab_size=SIZES["vocab_size"],
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=SIZES["hidden_width"],
        decoder_ffn_dim=SIZES["hidden_width"],
        max_position_embeddings=SIZES["context_length"],
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config).eval()

    @torch.inference_mode()
    def write(sources: list[list[int]]) -> list[int]:
        longest = max(map(len, sources))
        tokens = torch.full((len(sources), longest), 1)
        for row, source in enumerate(sources):
            tokens[row, : len(source)] = torch.tensor(source)
        written = model.generate(
            tokens,
            attention_mask=(tokens != 1).long(),
            num_beams=BEAMS,
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            length_penalty=0.6,
            do_sample=False,
        )
        return [written.shape[1] - 1] * len(sources)

    return write, sum(weight.numel() for weight in model.parameters())


if __name__ == "__main__":
    main()
