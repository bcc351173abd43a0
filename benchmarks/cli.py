"""How long a person waits: for `cutaway --help`, and for the first training step of a command.

The clock runs from the start of the process. `cold` starts with an empty compiler cache, `warm`
with the one that the cold run has left. The peer of the help is transformers' own command line; the
peer of the first step builds transformers' GPT-2 of the same sizes, compiles it and takes one step
on random tokens, while ours also trains a tokenizer and prepares its corpus.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import interleaved
from interleaved import Comparison, Contestant

BIN = Path(sys.executable).parent
LONGEST_WAIT = 900
"""Seconds after which a command that makes no step is given up."""

HELPS = {
    "ours": ("cutaway", "--help"),
    "transformers": ("transformers", "--help"),
    "python": ("python", "-c", "pass"),
}
SIZES = {"rows": 32, "context_length": 256, "width": 192, "num_layers": 6, "num_heads": 3}
"""Of the peer: those that `cutaway pretrain` takes by itself."""

VOCABULARY = 2048


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument(
        "--command",
        default="pretrain data=basic-english",
        help="the verb whose first step is awaited, with its words; `run=` is added",
    )
    parser.add_argument("--skip-first-step", action="store_true", help="time the help alone")
    arguments = parser.parse_args()
    if arguments.only:
        work, name = arguments.only.split("/")
        if work == "help":
            _wait_for_help(name)
        elif work == "step":
            _wait_for_step(name, words=arguments.command.split())
        else:
            _take_one_step()
        return
    contestants = [_help(name) for name in HELPS if shutil.which(HELPS[name][0], path=BIN)]
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    comparisons = [
        _comparison("help", ours=contestants[0].name, peer=contestant.name)
        for contestant in contestants[1:]
    ]
    if not arguments.skip_first_step:
        for number in range(arguments.runs):
            with tempfile.TemporaryDirectory() as cache:
                once = [
                    _step(name, cache=Path(cache) / name, heat=heat, command=arguments.command)
                    for heat in ("cold", "warm")
                    for name in ("ours", "transformers")
                ]
                interleaved.say(f"first step, run {number + 1} of {arguments.runs}")
                for name, values in interleaved.run_in_turn(Path(__file__), once, runs=1).items():
                    runs.setdefault(name, []).extend(values)
        comparisons += [
            _comparison(
                f"first step, {heat} cache",
                ours=_step_name("ours", heat=heat),
                peer=_step_name("transformers", heat=heat),
            )
            for heat in ("cold", "warm")
        ]
    interleaved.report(comparisons, runs, arguments=arguments)


def _comparison(work: str, *, ours: str, peer: str) -> Comparison:
    return Comparison(
        name=f"{work} against {peer.split(', ')[-1]}",
        ours=ours,
        peer=peer,
        unit="seconds",
        more_is_better=False,
    )


def _help(name: str) -> Contestant:
    return Contestant(name=f"help, {' '.join(HELPS[name])}", words=("--only", f"help/{name}"))


def _step_name(name: str, *, heat: str) -> str:
    return f"first step, {heat} cache, {name}"


def _step(name: str, *, cache: Path, heat: str, command: str) -> Contestant:
    """Both heats share a folder: the warm one finds what the cold one has left."""
    return Contestant(
        name=_step_name(name, heat=heat),
        words=("--only", f"step/{name}", "--command", command),
        environment={"TORCHINDUCTOR_CACHE_DIR": str(cache)},
    )


def _wait_for_help(name: str) -> None:
    program, *words = HELPS[name]
    begin = time.perf_counter()
    subprocess.run([BIN / program, *words], stdout=subprocess.DEVNULL, check=True)
    interleaved.hand_over(value=time.perf_counter() - begin)


def _wait_for_step(name: str, *, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        metrics = run / "metrics.jsonl"
        if name == "ours":
            command = [str(BIN / "cutaway"), *words, f"run={run}"]
        else:
            command = [sys.executable, __file__, "--only", f"peer/{name}"]
        begin = time.perf_counter()
        with (
            open(Path(folder) / "said", "wb") as said,
            subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process,
        ):
            while process.poll() is None and time.perf_counter() - begin < LONGEST_WAIT:
                if metrics.is_file() and b'"loss"' in metrics.read_bytes():
                    break
                time.sleep(0.02)
            seconds = time.perf_counter() - begin
            if name == "ours":
                _stop(process, has_stepped=metrics.is_file(), said=Path(said.name))
            elif process.returncode:
                raise SystemExit(Path(said.name).read_text(errors="replace"))
    interleaved.hand_over(value=seconds)


def _stop(process: "subprocess.Popen[bytes]", *, has_stepped: bool, said: Path) -> None:
    """Asks the run to stop; without a step, says what it said."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
    if not has_stepped:
        raise SystemExit(f"the command made no step:\n{said.read_text(errors='replace')}")


def _take_one_step() -> None:
    """The peer: imports, builds, compiles, and takes one step."""
    from cutaway import devices

    devices.prepare_process()
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    devices.set_threads()
    machine = devices.describe_machine()
    is_low = devices.choose_precision(machine).name == "bf16"
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=SIZES["context_length"],
            n_embd=SIZES["width"],
            n_layer=SIZES["num_layers"],
            n_head=SIZES["num_heads"],
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    is_compiled = devices.choose_compilation(machine).compiled
    step = torch.compile(model) if is_compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    batch = torch.randint(VOCABULARY, (SIZES["rows"], SIZES["context_length"]))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_low):
        loss = step(input_ids=batch, labels=batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()
    # What follows the step, such as the end of the compiler's workers, is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
