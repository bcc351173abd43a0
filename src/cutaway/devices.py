"""The machine under us, and what follows from it: precision, compiler, threads, memory, seeds.

Nothing here touches the network, and torch is imported inside functions only.
"""

import ctypes
import ctypes.util
import hashlib
import os
import platform
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway.errors import UsageError

if TYPE_CHECKING:
    import torch

Accelerator = Literal["cpu", "cuda", "mps"]
PrecisionName = Literal["fp32", "bf16"]

INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Those that decide how fast matrix products are, as the Linux kernel names them."""

OTHER_ALLOCATORS = ("tcmalloc", "jemalloc", "mimalloc")

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""What keeps libraries that we or a user may load from asking the network."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known about the machine without asking torch."""

    processor: str
    cores: int
    """Cores that this process may use: its affinity, and its container's share."""

    instruction_sets: tuple[str, ...]
    memory: int
    """Bytes in all, or the container's limit."""

    memory_free: int
    """Bytes that can be had now."""

    compiler: Path | None
    """A C++ compiler that can build Python modules, which torch.compile needs on the CPU."""

    system: str


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The number format of matrix products, and why."""

    name: PrecisionName
    reason: str


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """Whether the training step is compiled, and why."""

    compiled: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class KeptMemory:
    """Whether freed memory stays with the process, and what was done for it."""

    kept: bool
    reason: str


def describe_machine() -> Machine:
    """Looks at the machine; takes milliseconds."""
    import psutil

    memory = psutil.virtual_memory()
    limit = _container_memory()
    return Machine(
        processor=_processor(),
        cores=_cores(),
        instruction_sets=_instruction_sets(),
        memory=min(memory.total, limit or memory.total),
        memory_free=min(memory.available, limit or memory.available),
        compiler=_compiler(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def find_accelerator() -> tuple[Accelerator, str]:
    """The fastest device that torch can use here, and its name."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", "none"


def choose_precision(
    machine: Machine, *, accelerator: Accelerator = "cpu", asked: str = "auto"
) -> Precision:
    """The number format in which matrix products are fast here and training still converges.

    Raises:
        UsageError: a format that we do not train in.
    """
    if asked in ("fp32", "bf16"):
        return Precision(name="fp32" if asked == "fp32" else "bf16", reason="asked for")
    if asked != "auto":
        raise UsageError(f"precision={asked}: allowed are auto, fp32 and bf16")
    if accelerator == "cuda":
        return _precision_on_cuda()
    if accelerator == "mps":
        return Precision(name="fp32", reason="Apple GPUs gain little from bf16 at our sizes")
    for name in ("amx_bf16", "avx512_bf16"):
        if name in machine.instruction_sets:
            return Precision(
                name="bf16", reason=f"the processor has {name}: about 4 times faster than fp32"
            )
    return Precision(
        name="fp32",
        reason="the processor has no bf16 instructions; emulating them is far slower",
    )


def choose_compilation(
    machine: Machine, *, accelerator: Accelerator = "cpu", asked: str = "auto"
) -> Compilation:
    """Whether to compile the training step: on the CPU that takes a C++ compiler.

    Raises:
        UsageError: compilation was asked for and cannot be had.
    """
    if asked == "no":
        return Compilation(compiled=False, reason="switched off")
    if asked not in ("auto", "yes"):
        raise UsageError(f"compile={asked}: allowed are auto, yes and no")
    if accelerator == "mps":
        reason = "torch.compile is not ready for Apple GPUs"
    elif accelerator == "cpu" and machine.compiler is None:
        reason = "no C++ compiler with Python's headers was found (g++ and python3-dev)"
    else:
        by = f"by {machine.compiler}" if accelerator == "cpu" else "by Triton"
        return Compilation(compiled=True, reason=f"{by}; the result is kept for the next run")
    if asked == "yes":
        raise UsageError(f"compile=yes: {reason};\ninstall them, or write compile=auto")
    return Compilation(compiled=False, reason=f"{reason}; a step takes about 1.6 times as long")


def prepare_process() -> None:
    """What every verb sets before torch is imported: no network, and a cache that lasts."""
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    compiler = _compiler()
    if compiler is not None:
        os.environ.setdefault("CXX", str(compiler))  # torch itself looks for g++ alone


def cache_folder() -> Path:
    """Our folder for what can be made again: `XDG_CACHE_HOME/cutaway`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a path that is not absolute does not count.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "cutaway"


def keep_freed_memory() -> KeptMemory:
    """Lets glibc keep what a step frees for the next one, instead of giving it back each time.

    Every fresh page costs a fault; at the sizes of a small model this is worth up to 1.6 times
    the speed. The process then holds the most that it ever needed.
    """
    preloaded = _other_allocator()
    if preloaded:
        return KeptMemory(kept=True, reason=f"{preloaded} is loaded and keeps memory by itself")
    if platform.libc_ver()[0] != "glibc":
        return KeptMemory(kept=False, reason="the C library is not glibc")
    mallopt = ctypes.CDLL(None).mallopt
    # From malloc.h. No mapping of single blocks, no giving back, growth by 64 MB, and one arena:
    # what the backward pass frees in its own thread is there for the forward pass.
    options = {
        "M_MMAP_MAX": (-4, 0),
        "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
        "M_TOP_PAD": (-2, 2**26),
        "M_ARENA_MAX": (-8, 1),
    }
    refused = [name for name, (key, value) in options.items() if mallopt(key, value) != 1]
    if refused:
        return KeptMemory(kept=False, reason=f"glibc refused {', '.join(refused)}")
    return KeptMemory(kept=True, reason="glibc's malloc keeps freed memory (mallopt)")


def set_threads(count: int | None = None) -> int:
    """Gives torch as many threads as there are cores, or the given number, and returns it.

    Processes that torchrun started on one machine share its cores.
    """
    import torch

    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = count if count is not None else max(1, _cores() // beside)
    if threads < 1:
        raise UsageError(f"threads={threads}: at least 1 is needed")
    torch.set_num_threads(threads)
    return threads


def derived_seed(seed: int, *names: str | int) -> int:
    """A seed of its own for each purpose, so that no two streams of random numbers are one."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seeded_generator(seed: int, *names: str | int) -> "torch.Generator":
    """A generator on the CPU for one purpose; equal seeds and names give equal numbers."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *names))


def _precision_on_cuda() -> Precision:
    import torch

    major, minor = torch.cuda.get_device_capability()
    if major >= 8:
        return Precision(name="bf16", reason=f"the GPU (capability {major}.{minor}) has bf16 units")
    return Precision(name="fp32", reason=f"the GPU (capability {major}.{minor}) has no bf16 units")


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(allowed, _container_cores() or allowed))


def _container_cores() -> int | None:
    """The cores that a container's share amounts to, rounded up; None: no limit."""
    quota, _, period = _read(Path("/sys/fs/cgroup/cpu.max")).strip().partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:
        return -(-int(quota) // int(period))
    return None


def _container_memory() -> int | None:
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    return int(limit) if limit.isdecimal() else None


def _processor() -> str:
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.processor()
    named = re.search(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _instruction_sets() -> tuple[str, ...]:
    flags = re.search(r"^flags\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    return tuple(name for name in INSTRUCTION_SETS if name in present)


def _compiler() -> Path | None:
    """The C++ compiler that torch.compile will call: what `CXX` names, or one of the usual two.

    The code that it compiles includes Python's own header, which Debian packs apart.
    """
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return None
    named = os.environ.get("CXX")
    names = [named] if named else ["g++", "clang++"]
    found = [path for name in names if (path := shutil.which(name))]
    return Path(found[0]) if found else None


def _other_allocator() -> str | None:
    """A malloc that was loaded in the place of glibc's."""
    maps = _read(Path("/proc/self/maps"))
    return next((name for name in OTHER_ALLOCATORS if f"lib{name}" in maps), None)


def _sysctl(name: str) -> str:
    library = ctypes.CDLL(ctypes.util.find_library("c"))
    size = ctypes.c_size_t(256)
    buffer = ctypes.create_string_buffer(256)
    failed = library.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, 0)
    return "" if failed else buffer.value.decode(errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
