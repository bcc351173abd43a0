"""The kernels under the compiler's own watch: no read or write beside what they were given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

WATCHED = """
import torch

from cutaway.inference.fast import accelerate
from cutaway.inference.native import build
from cutaway.inference.quantize import FORMATS
from cutaway.models.catalog import build as build_model
from tests import laws

build.FLAGS = ("-O2", "-g", "-std=c++17", "-fPIC", "-shared", "-fno-sanitize-recover=all",
               "-fsanitize=address,undefined")
torch.set_num_threads(2)

def odd(width, heads, shared, hidden):
    sizes = {"vocab_size": 131, "context_length": 160, "width": width, "num_layers": 2}
    return build_model({"architecture": "llama", **sizes, "num_heads": heads,
                        "num_key_value_heads": shared, "hidden_width": hidden})

shapes = [(60, 3, 1, 7), (40, 1, 1, 129), (128, 2, 2, 64), (24, 6, 2, 300)]
models = [odd(*sizes) for sizes in shapes] + [laws.toy(name) for name in laws.DECODERS]
for model in models:
    length = min(model.config.context_length, 150)
    vocabulary = model.config.vocab_size
    for weights in FORMATS:
        found = accelerate(model, weights=weights)
        assert found.is_native, found.reason
        tokens = torch.arange(2 * length).view(2, length) % vocabulary
        cache = found.model.new_cache(2, length)
        with torch.no_grad():
            for count in (1, 2, 7, 1, length - 12, 1):
                given, tokens = tokens[:, :count], tokens[:, count:]
                found.model(given, cache=cache)
print("watched to the end")
"""


def test_the_kernels_read_and_write_only_what_is_theirs(tmp_path: Path):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++, whose sanitizers watch here")
    library = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_file():
        pytest.skip("g++ has no address sanitizer here")
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
            "CXX": compiler,
            "LD_PRELOAD": library,
            "ASAN_OPTIONS": "detect_leaks=0",
            "XDG_CACHE_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("watched to the end\n"), done.stderr[-3000:]
