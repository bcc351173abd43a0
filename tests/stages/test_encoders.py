"""BERT from the command line: learned, resumed bit-equal, judged, filled; and classes of texts."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway import checkpoint
from cutaway.errors import ConfigError, DataError, UsageError
from cutaway.models.settings import ModelSettings
from cutaway.stages import evaluate, export, finetune, generate, pretrain
from cutaway.stages.finetune import ClassesConfig, LoraConfig
from cutaway.stages.learning import PacingConfig
from cutaway.training.choices import OptimizerConfig

QUICK = PacingConfig(rows=4, threads=1, compile="no", precision="fp32", checkpoint_seconds=1e9)
TOY = ModelSettings(
    architecture="bert", context_length=32, width=32, num_layers=1, num_heads=2, dropout=0.1
)
RATES = OptimizerConfig(embedding_rate=0.01, vector_rate=0.005)
QUICK_RATES = OptimizerConfig(
    kind="adamw",
    learning_rate=0.005,
    embedding_rate=0.01,
    unembedding_rate=0.01,
    vector_rate=0.005,
    adapter_rate=0.02,
)
"""For a task that a few dozen steps must teach."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of sentences that a few words of each other foretell."""
    folder = tmp_path_factory.mktemp("texts") / "texts"
    folder.mkdir()
    chosen = random.Random(1)
    who = ("king", "cook", "boy", "girl", "dog", "cat")
    for number in range(80):
        waters = [chosen.choice(["river", "sea"]) for _ in range(6)]
        lines = [
            f"The {chosen.choice(who)} saw {chosen.randint(2, 9)} boats on the {water}.\n"
            for water in waters
        ]
        (folder / f"{number}.txt").write_text("".join(lines))
    return folder


def pretraining(texts: Path, run: Path, **changes: Any) -> pretrain.Config:
    config = pretrain.Config(
        data=str(texts),
        run=run,
        vocab_size=300,
        steps=60,
        model=TOY,
        optimizer=RATES,
        pacing=QUICK,
        prompts=("The king [MASK] 3 boats on the river.",),
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def bert(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.stages.conftest import Listener

    run = tmp_path_factory.mktemp("bert") / "run"
    torch.manual_seed(1)  # of dropout
    pretrain.run(pretraining(texts, run), console=Listener())
    return run


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of two classes."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    lines = ["text,label"]
    for number in range(60):
        lines += [f"The king saw {number} boats,royal", f"The cook saw {number} boats,not"]
    path.write_text("\n".join(lines))
    return path


def test_an_encoder_is_learned_and_says_how_many_hidden_words_it_names(bert: Path) -> None:
    metrics = [json.loads(line) for line in (bert / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in metrics if "loss" in row]
    assert steps[-1]["loss"] < steps[0]["loss"] - 1  # a nat
    looks = [row for row in metrics if "masked_accuracy" in row and "loss" not in row]
    assert looks[-1]["masked_accuracy"] > looks[0]["masked_accuracy"]
    assert 0 <= looks[-1]["next_sentence_accuracy"] <= 1
    samples = [json.loads(line) for line in (bert / "samples.jsonl").read_text().splitlines()]
    assert samples[-1]["prompt"] == "The king [MASK] 3 boats on the river."
    assert "%" in samples[-1]["text"]


def test_a_resumed_encoder_is_bit_equal(
    bert: Path, texts: Path, tmp_path: Path, console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cutaway.training import hooks

    class Interrupted(Exception):
        """Stands for a machine that goes away."""

    def interrupt(self: Any, progress: Any) -> None:
        if progress.state.step == 31:
            raise Interrupted

    config = pretraining(texts, tmp_path / "run", pacing=replace(QUICK, checkpoint_seconds=1e-6))
    torch.manual_seed(1)  # as the other run began
    with monkeypatch.context() as patch:
        patch.setattr(hooks.SkippedSteps, "after_step", interrupt)
        with pytest.raises(Interrupted):
            pretrain.run(config, console=console)
    pretrain.run(config, console=console)
    assert any("goes on after step 30" in line for line in console.lines)
    whole, parted = (
        checkpoint.newest(run / "checkpoints").checkpoint for run in (bert, tmp_path / "run")
    )
    assert whole is not None
    assert parted is not None
    assert whole.step == parted.step == 60
    for stem in ("model", "optimizer"):
        found, expected = parted.tensors(stem), whole.tensors(stem)
        assert found.keys() == expected.keys()
        assert all(found[name].equal(expected[name]) for name in expected)


def test_blanks_are_filled_with_probabilities(bert: Path, console: Any) -> None:
    prompt = "The king [MASK] 3 boats on the [MASK]."
    report = generate.run(generate.Config(model=bert, prompt=prompt), console=console)
    assert report.form == "blanks"
    assert "[MASK]" not in report.text
    assert console.products == [report.text + "\n"]
    assert [len(blank) for blank in report.choices] == [5, 5]
    for blank in report.choices:
        assert 0 < sum(blank.values()) <= 1 + 1e-6


def test_an_encoder_is_judged_by_hidden_words_and_order(bert: Path, console: Any) -> None:
    report = evaluate.run(evaluate.Config(model=bert, precision="fp32"), console=console)
    found = report.results["masked"]
    assert found["words"]["low"] <= found["words"]["value"] <= found["words"]["high"]
    assert found["order"] is not None
    assert report.report is not None
    page = report.report.read_text()
    assert "Hidden words" in page
    assert "order judged right" in page


def test_an_encoder_is_exported_and_opened_again(bert: Path, tmp_path: Path, console: Any) -> None:
    export.run(export.Config(model=bert, to="hf", out=tmp_path / "hf"), console=console)
    prompt = "The king [MASK] 3 boats."
    texts = [
        generate.run(generate.Config(model=path, prompt=prompt), console=console).text
        for path in (bert, tmp_path / "hf")
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("prompt", ["", "The king saw boats."])
def test_a_text_without_a_blank_is_told(prompt: str, bert: Path, console: Any) -> None:
    with pytest.raises(UsageError, match=r"empty|no blank in the text: write \[MASK\]"):
        generate.run(generate.Config(model=bert, prompt=prompt), console=console)


def test_what_goes_with_a_decoder_is_refused(bert: Path, texts: Path, console: Any) -> None:
    config = generate.Config(model=bert, prompt="a [MASK]", top_k=3)
    with pytest.raises(ConfigError, match="top_k= goes with a model that writes text"):
        generate.run(config, console=console)
    with pytest.raises(ConfigError, match="an encoder here reads word pieces"):
        pretrain.run(pretraining(texts, Path("no"), characters=True), console=console)


def learning(rows: Path, run: Path, **changes: Any) -> finetune.Config:
    classes = ClassesConfig(model=TOY, vocab_size=300, batch=16)
    config = finetune.Config(
        task="classify", data=str(rows), run=run, classes=classes, pacing=QUICK, steps=60
    )
    config = replace(config, optimizer=QUICK_RATES)
    return replace(config, **changes)


@pytest.mark.parametrize("start", ["bert", "nothing", "lora", "gpt"])
def test_classes_are_learned_from_any_of_the_family(
    start: str, bert: Path, rows: Path, tmp_path: Path, console: Any
) -> None:
    config = learning(rows, tmp_path / "run")
    if start in ("bert", "lora"):
        config = replace(config, model=bert)
    if start == "lora":
        config = replace(config, lora=LoraConfig(rank=2))
    if start == "gpt":
        sizes = replace(TOY, architecture="gpt", context_length=64)
        config = replace(config, classes=replace(config.classes, model=sizes))
    report = finetune.run(config, console=console)
    page = json.loads((tmp_path / "run" / "report.json").read_text())["classes"]
    assert page["accuracy"]["value"] > 0.9
    assert page["rival"]["value"] > 0.9
    assert page["calibration_error"] < 0.2
    assert sum(map(sum, page["confusion"])) == page["n"] == 12
    if start == "lora":
        whole = finetune.run(
            learning(rows, tmp_path / "whole", model=bert, steps=1), console=console
        )
        assert report.learned_weights < whole.learned_weights
    text = generate.Config(model=tmp_path / "run", prompt="The king saw 12 boats")
    named = generate.run(text, console=console)
    assert named.text == "royal"
    assert sum(named.choices[0].values()) == pytest.approx(1, abs=1e-5)
    assert console.products[-2].startswith("royal ")
    judged = evaluate.Config(model=tmp_path / "run", data=str(rows), precision="fp32")
    found = evaluate.run(judged, console=console).results["classes"]
    assert found["n"] == 120
    again = evaluate.run(evaluate.Config(model=tmp_path / "run"), console=console)
    assert again.results["classes"]["accuracy"] == page["accuracy"]


def test_a_resumed_classifier_is_bit_equal(
    bert: Path, rows: Path, tmp_path: Path, console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cutaway.training import hooks

    class Interrupted(Exception):
        """Stands for a machine that goes away."""

    def interrupt(self: Any, progress: Any) -> None:
        if progress.state.step == 7:
            raise Interrupted

    pacing = replace(QUICK, checkpoint_seconds=1e-6)
    configs = [
        learning(rows, tmp_path / name, model=bert, steps=12, pacing=pacing)
        for name in ("whole", "parted")
    ]
    torch.manual_seed(1)
    finetune.run(configs[0], console=console)
    torch.manual_seed(1)
    with monkeypatch.context() as patch:
        patch.setattr(hooks.SkippedSteps, "after_step", interrupt)
        with pytest.raises(Interrupted):
            finetune.run(configs[1], console=console)
    finetune.run(configs[1], console=console)
    whole, parted = (checkpoint.newest(config.run / "checkpoints").checkpoint for config in configs)
    assert whole is not None
    assert parted is not None
    found, expected = parted.tensors("model"), whole.tensors("model")
    assert all(found[name].equal(expected[name]) for name in expected)


def test_a_label_never_seen_is_told_with_its_line(
    bert: Path, rows: Path, tmp_path: Path, console: Any
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("text,label\nThe king saw boats,royal\nThe dog saw boats,canine\n")
    classes = ClassesConfig(test=str(other))
    config = learning(rows, tmp_path / "run", model=bert, classes=classes)
    with pytest.raises(DataError, match=r"other.csv:3: the label 'canine' was never seen"):
        finetune.run(config, console=console)
