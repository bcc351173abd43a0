"""What follows from a machine: its precision, its compiler, its memory, its seeds."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway import devices
from cutaway.devices import Machine
from cutaway.errors import UsageError

ZEN3 = Machine(
    processor="AMD EPYC",
    cores=2,
    instruction_sets=("avx2",),
    memory=25 * 10**9,
    memory_free=20 * 10**9,
    compiler=Path("/usr/bin/g++"),
    system="Linux",
)
ZEN5 = replace(ZEN3, instruction_sets=("avx2", "avx512f", "avx512_bf16"))
SAPPHIRE = replace(ZEN3, instruction_sets=("avx2", "avx512f", "avx512_bf16", "amx_bf16"))


def in_a_process(code: str, **environment: str) -> str:
    # Tests that compiled something before have left torch's own choice in the environment.
    inherited = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, **environment},
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("machine", "accelerator", "name", "reason"),
    [
        (ZEN3, "cpu", "fp32", "no bf16 instructions"),
        (ZEN5, "cpu", "bf16", "avx512_bf16"),
        (SAPPHIRE, "cpu", "bf16", "amx_bf16"),
        (replace(ZEN5, instruction_sets=("avx512f",)), "cpu", "fp32", "no bf16 instructions"),
        (ZEN5, "mps", "fp32", "Apple"),
    ],
)
def test_precision_follows_from_what_the_processor_multiplies(
    machine: Machine, accelerator: devices.Accelerator, name: str, reason: str
):
    chosen = devices.choose_precision(machine, accelerator=accelerator)
    assert chosen.name == name
    assert reason in chosen.reason


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_a_precision_that_is_asked_for_is_taken(asked: str):
    chosen = devices.choose_precision(ZEN3, asked=asked)
    assert (chosen.name, chosen.reason) == (asked, "asked for")


def test_a_precision_that_nobody_trains_in_is_refused():
    with pytest.raises(UsageError, match="precision=fp16: allowed are auto, fp32 and bf16"):
        devices.choose_precision(ZEN3, asked="fp16")


def test_a_step_is_compiled_where_a_compiler_is():
    assert devices.choose_compilation(ZEN3).compiled


def test_without_a_compiler_training_goes_on_and_says_what_it_costs():
    chosen = devices.choose_compilation(replace(ZEN3, compiler=None))
    assert not chosen.compiled
    assert "no C++ compiler" in chosen.reason
    assert "1.6 times as long" in chosen.reason


def test_asking_for_a_compiled_step_without_a_compiler_is_refused():
    with pytest.raises(UsageError, match="compile=yes: no C"):
        devices.choose_compilation(replace(ZEN3, compiler=None), asked="yes")


def test_a_word_that_means_nothing_is_refused():
    with pytest.raises(UsageError, match="compile=maybe: allowed are auto, yes and no"):
        devices.choose_compilation(ZEN3, asked="maybe")
    assert not devices.choose_compilation(ZEN3, asked="no").compiled


def test_this_machine_has_cores_and_memory_and_a_name():
    machine = devices.describe_machine()
    assert machine.cores >= 1
    assert 0 < machine.memory_free <= machine.memory
    assert machine.processor
    assert set(machine.instruction_sets) <= set(devices.INSTRUCTION_SETS)


def test_a_compiler_that_is_named_and_missing_is_not_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert devices.describe_machine().compiler is None


def test_preparing_a_process_sets_what_is_not_set_and_imports_no_torch(tmp_path: Path):
    said = in_a_process(
        "import os, sys; from cutaway import devices; devices.prepare_process();"
        "print(os.environ['TORCHINDUCTOR_CACHE_DIR'], os.environ['HF_HUB_OFFLINE'],"
        "os.environ['DO_NOT_TRACK'], 'torch' in sys.modules)",
        XDG_CACHE_HOME=str(tmp_path),
        DO_NOT_TRACK="mine",
    )
    assert said == f"{tmp_path}/cutaway/inductor 1 mine False"


def test_a_cache_path_that_is_not_absolute_does_not_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert devices.cache_folder() == Path.home() / ".cache" / "cutaway"


FAULTS = """
import resource
from cutaway import devices
kept = devices.keep_freed_memory() if {keep} else None
def work():
    for _ in range(20):
        blocks = [bytearray(size) for size in (10**6, 10**7, 5 * 10**7)]
        del blocks
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(kept.kept if kept else "", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_kept_memory_costs_no_page_faults_the_second_time():
    words = in_a_process(FAULTS.format(keep=True), LD_PRELOAD="").split()
    if words[0] != "True":
        pytest.skip("the C library is not glibc")
    assert int(words[1]) < 100


def test_memory_that_is_not_kept_is_faulted_in_again_each_time():
    if "True" not in in_a_process(FAULTS.format(keep=True), LD_PRELOAD=""):
        pytest.skip("the C library is not glibc")
    assert int(in_a_process(FAULTS.format(keep=False), LD_PRELOAD="")) > 10_000


def test_threads_are_at_least_one():
    with pytest.raises(UsageError, match="threads=0"):
        devices.set_threads(0)
    before = torch.get_num_threads()
    try:
        assert devices.set_threads(1) == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@given(seed=st.integers(0, 2**63 - 1), names=st.lists(st.text(max_size=8), max_size=3))
def test_a_derived_seed_is_a_function_of_its_names_that_torch_takes(seed: int, names: list[str]):
    derived = devices.derived_seed(seed, *names)
    assert derived == devices.derived_seed(seed, *names)
    assert 0 <= derived < 2**63
    assert derived != devices.derived_seed(seed, *names, "more")


def test_generators_for_two_purposes_differ_and_for_one_agree():
    draw = {name: torch.rand(4, generator=devices.seeded_generator(7, name)) for name in ("a", "b")}
    assert torch.equal(draw["a"], torch.rand(4, generator=devices.seeded_generator(7, "a")))
    assert not torch.equal(draw["a"], draw["b"])
