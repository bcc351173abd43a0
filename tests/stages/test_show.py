"""`cutaway show`: one file with all parts of a model, which runs alone and is the same function."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cutaway.errors import UsageError
from cutaway.models.catalog import CATALOG, PUBLISHED, build
from cutaway.models.weights import weights_of
from cutaway.stages.show import Config, one_file, run

SIZES: dict[str, Any] = {"vocab_size": 31, "context_length": 16, "width": 16, "num_layers": 2}
TOY: dict[str, dict[str, Any]] = {
    "gpt": SIZES | {"num_heads": 2, "window": 3},
    "llama": SIZES
    | {"num_heads": 4, "num_key_value_heads": 2, "hidden_width": 24, "query_key_norm": True},
    "speedrun": SIZES | {"num_heads": 2, "pair_rows": 20, "triple_rows": 30},
    "transformer": SIZES | {"num_heads": 2},
    "seq2seq": SIZES,
    "bert": SIZES | {"num_heads": 2, "hidden_width": 24, "heads": "words_and_order"},
}

# Runs each printed file where the package cannot be imported, and writes the logits down: of the
# whole text at once, and of its last token after the others went through a cache.
ALONE = """
import json, sys, types
sys.modules["cutaway"] = None
import torch
from safetensors.torch import load_file, save_file
for name, (kind, sizes) in json.load(open(sys.argv[1])).items():
    shown = types.ModuleType(name)
    sys.modules[name] = shown
    exec(compile(open(name + ".py").read(), name + ".py", "exec"), shown.__dict__)
    model = getattr(shown, kind)(getattr(shown, kind + "Config")(**sizes)).eval()
    weights = load_file(name + ".safetensors")
    with torch.inference_mode():
        for own, parameter in model.named_parameters():
            parameter.copy_(weights[own])
        tokens = torch.arange(12)[None]
        if "name_words" in dir(model):
            both = model(tokens)
            save_file({"all": both, "last": both[:, -1:].clone()}, name + ".logits")
            continue
        cache = model.new_cache(1, 12)
        if "encode" in dir(model):
            memory, read = model.encode(tokens), model.decode
            for token in tokens[0, :-1]:
                read(token.view(1, 1), memory, cache=cache)
            last, both = read(tokens[:, -1:], memory, cache=cache), model(tokens, tokens)
        else:
            model(tokens[:, :-1], cache=cache)
            last, both = model(tokens[:, -1:], cache=cache), model(tokens)
        save_file({"all": both, "last": last}, name + ".logits")
"""


def test_every_model_of_the_catalog_is_tested() -> None:
    assert TOY.keys() == CATALOG.keys()


def test_the_printed_files_run_alone_and_are_the_same_functions(tmp_path: Path) -> None:
    expected = {}
    for name, sizes in TOY.items():
        kind = CATALOG[name]
        model = build({"architecture": name, **sizes}).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(1))
        tokens = [torch.arange(12)[None]] * (2 if kind.kind == "encoder-decoder" else 1)
        expected[name] = model(*tokens)
        save_file(weights_of(model), tmp_path / f"{name}.safetensors")
        file = one_file(kind.model, kind.config, sizes=None, name=name)
        (tmp_path / f"{name}.py").write_text(file.text, encoding="utf-8")
    models = {name: (CATALOG[name].model.__name__, sizes) for name, sizes in TOY.items()}
    (tmp_path / "models.json").write_text(json.dumps(models))
    command = [sys.executable, "-I", "-c", ALONE, "models.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, logits in expected.items():
        found = load_file(tmp_path / f"{name}.logits")
        assert found["all"].equal(logits)
        torch.testing.assert_close(found["last"], logits[:, -1:])


def test_published_sizes_are_written_so_that_they_can_be_made_again(console: Any) -> None:
    run(Config(model="gpt2"), console=console)
    tree = ast.parse(console.products[0])
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    call = assigned["SIZES"]
    assert isinstance(call, ast.Call)
    values = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    assert values == vars(PUBLISHED["gpt2"])


@pytest.mark.parametrize("name", sorted({**CATALOG, **PUBLISHED}))
def test_nothing_in_the_file_is_without_use(name: str, console: Any) -> None:
    report = run(Config(model=name), console=console)
    assert report is not None
    tree = ast.parse(console.products[0])
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    models = {kind.model.__name__ for kind in CATALOG.values()}
    names = {part.rpartition(".")[2] for part in report.parts}
    assert len(names & models) == 1
    assert names - models <= used


def test_parts_come_before_what_is_made_of_them(console: Any) -> None:
    report = run(Config(model="llama"), console=console)
    assert report is not None
    places = {part.rpartition(".")[2]: place for place, part in enumerate(report.parts)}
    assert places["Rotary"] < places["Attention"] < places["PreNormBlock"] < places["Llama"]


def test_comments_and_docstrings_come_along(console: Any) -> None:
    run(Config(model="gpt"), console=console)
    text = console.products[0]
    assert '"""Tokens in the vocabulary."""' in text
    assert "# cutaway/nn/attention.py: Attention" in text


def test_without_a_name_the_names_are_told(console: Any) -> None:
    assert run(Config(), console=console) is None
    assert "gpt2-xl" in console.text
    assert console.products == []


def test_an_unknown_name_is_told_with_the_nearest(console: Any) -> None:
    with pytest.raises(UsageError, match=r"no model is called 'gtp2'; did you mean gpt2\?"):
        run(Config(model="gtp2"), console=console)
