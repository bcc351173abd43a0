"""Every recipe that comes along can be followed, and the demo's lead to a model that answers."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cutaway import settings
from cutaway.stages import align, demo, evaluate, finetune, pretrain, reward
from tests.stages.conftest import Listener

RECIPES = Path(__file__).parents[2] / "recipes"
STAGES: dict[str, Any] = {
    "add_digits/1_pretrain.toml": pretrain,
    "align_published/1_reward.toml": reward,
    "align_published/2_dpo.toml": align,
    "align_skills/1_grpo.toml": align,
    "align_taste/1_reward.toml": reward,
    "align_taste/2_ppo.toml": align,
    "align_taste/3_dpo.toml": align,
    "align_taste/4_grpo.toml": align,
    "align_taste/5_too_far.toml": align,
    "demo/1_pretrain.toml": pretrain,
    "demo/2_finetune.toml": finetune,
    "demo/3_align.toml": align,
    "demo/4_evaluate.toml": evaluate,
    "instructions/1_pretrain.toml": pretrain,
    "instructions/2_finetune.toml": finetune,
    "pronounce_cmudict/1_pretrain.toml": pretrain,
    "shakespeare_char/1_quick.toml": pretrain,
    "shakespeare_char/2_best.toml": pretrain,
    "simplify_bible/1_pretrain.toml": pretrain,
    "translate_multi30k/1_transformer.toml": pretrain,
    "translate_multi30k/2_paper.toml": pretrain,
    "translate_multi30k/3_gru_attention.toml": pretrain,
    "translate_multi30k/4_gru.toml": pretrain,
    "translate_multi30k/5_lstm.toml": pretrain,
    "summarize_code/1_pretrain.toml": pretrain,
    "tang/1_pretrain.toml": pretrain,
    "translate_en_zh/1_pretrain.toml": pretrain,
    "spam/1_pretrain.toml": pretrain,
    "spam/2_balanced.toml": finetune,
    "spam/3_all.toml": finetune,
    "sst2/1_pretrain.toml": pretrain,
    "sst2/2_finetune.toml": finetune,
}
SKILLS = {
    *("dates", "spelling", "correcting", "counting", "reversing", "addition", "subtraction"),
    *("pronunciation", "rhymes", "names", "identity", "system_prompt"),
}


def test_every_recipe_is_tested_here() -> None:
    assert {str(path.relative_to(RECIPES)) for path in RECIPES.rglob("*.toml")} == set(STAGES)


def test_every_folder_of_recipes_says_what_it_is_for() -> None:
    folders = {path.parent for path in RECIPES.rglob("*.toml")}
    assert all((folder / "README.md").is_file() for folder in folders)


@pytest.mark.parametrize("name", STAGES)
def test_a_recipe_is_understood_and_means_the_same_when_written_again(
    name: str, tmp_path: Path
) -> None:
    config = settings.load(STAGES[name].Config, recipe=RECIPES / name)
    again = tmp_path / "again.toml"
    again.write_text(settings.dump(config))
    assert settings.load(STAGES[name].Config, recipe=again) == config


@pytest.mark.parametrize("name", [name for name in STAGES if STAGES[name] is pretrain])
def test_a_model_is_built_from_all_that_its_recipe_says_of_it(name: str) -> None:
    said = tomllib.loads((RECIPES / name).read_text()).get("model", {})
    config = settings.load(pretrain.Config, recipe=RECIPES / name)
    sizes = config.model.resolved(size=config.size, vocab_size=config.vocab_size)
    assert said.items() <= sizes.items()


@pytest.mark.parametrize("folder", ["demo"])
def test_the_shares_of_a_mixture_are_parts_of_one(folder: str) -> None:
    for name in ("1_pretrain.toml", "2_finetune.toml"):
        parts = tomllib.loads((RECIPES / folder / name).read_text())["mixture"]
        assert sum(part["share"] for part in parts) == pytest.approx(1.0)


@pytest.mark.parametrize("folder", ["demo"])
def test_fine_tuning_teaches_every_skill_that_is_judged(folder: str) -> None:
    parts = tomllib.loads((RECIPES / folder / "2_finetune.toml").read_text())["mixture"]
    taught = {part["source"].removeprefix("skill:") for part in parts}
    assert taught - {"basic-english"} == SKILLS


TOY = {
    **dict.fromkeys(("num_layers", "num_heads", "base_items"), 1),
    **dict.fromkeys(("pair_rows", "triple_rows"), 101),
    **dict.fromkeys(("minutes", "rows", "items"), 2),
    **dict.fromkeys(("held_out", "trials", "drawn", "max_tokens"), 4),
    "vocab_size": 300,
    "count": 60,
    "width": 32,
    "table_width": 8,
}
"""What a toy's recipes say in the place of the demo's; two steps, not two minutes."""


def toy(folder: Path) -> Path:
    """The demo's own recipes with a tiny model, few examples and two steps each."""
    folder.mkdir()
    for path in sorted((RECIPES / "demo").glob("*.toml")):
        text = path.read_text()
        for key, value in TOY.items():
            name = "steps" if key == "minutes" else key
            text = re.sub(rf"(?m)^{key} = .*$", f"{name} = {value}", text)
        text = text.replace("[pacing]", '[pacing]\ncompile = "no"\nthreads = 1')
        (folder / path.name).write_text(text)
    return folder


def test_the_demo_leads_from_text_to_a_report_and_a_model_that_answers(tmp_path: Path) -> None:
    console = Listener()
    config = demo.Config(run=tmp_path / "run", recipes=toy(tmp_path / "recipes"))
    report = demo.run(config, console=console)
    assert report.report.read_text().startswith("<!doctype html>")
    assert f"cutaway chat {tmp_path / 'run'}" in console.text
    twin = json.loads((tmp_path / "run" / "report.json").read_text())
    assert set(twin["minutes"]) == {"pretrain", "finetune", "align", "evaluate", "total"}
    assert {"value", "low", "high", "gzip", "xz", "ngram5"} <= set(twin["bits_per_byte"])
    assert set(twin["skills"]) == SKILLS
    for skill in twin["skills"].values():
        assert {"metric", "higher_is_better", "n", "baseline", "stages"} <= set(skill)
        assert list(skill["stages"]) == ["base", "finetuned", "aligned"]

    # The same again: what is finished is not done again; only the page tells the time anew.
    kept = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "run").rglob("*")
        if path.suffix in {".safetensors", ".jsonl"}
    }
    demo.run(config, console=Listener())
    assert len(kept) > 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
