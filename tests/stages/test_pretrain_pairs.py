"""Pairs of one's own become a model that is opened, asked and judged by the same verbs."""

import json
from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import ConfigError, UsageError
from cutaway.interop.open import is_pair_model, open_model, open_pair_model
from cutaway.models.settings import ModelSettings
from cutaway.run_folder import RunFolder
from cutaway.stages import evaluate, generate, pretrain
from cutaway.stages.learning import PacingConfig
from cutaway.training.choices import PairConfig
from tests.stages.conftest import Listener

SIZES = ModelSettings(
    architecture="transformer", context_length=24, width=32, num_layers=1, num_heads=2, dropout=0.0
)
PACING = PacingConfig(rows=8, compile="no", precision="fp32", threads=1)


def config(tmp_path: Path, **rest: Any) -> pretrain.Config:
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "pairs.csv"
    rows = [f"{a} {b},{b} {a}" for a in "abcdefgh" for b in "ijklmnop"]
    path.write_text("source,target\n" + "\n".join([*rows, "x" * 40 + ",y"]) + "\n")
    given = {
        "data": str(path),
        "characters": True,
        "run": tmp_path / "run",
        "steps": 6,
        "model": SIZES,
        "pacing": PACING,
        "pairs": PairConfig(measured=3),
    }
    return pretrain.Config(**(given | rest))


def test_pairs_become_a_model_that_translates_and_is_judged(
    tmp_path: Path, console: Listener
) -> None:
    asked = config(tmp_path)
    report = pretrain.run(asked, console=console)
    assert report.steps == 6
    assert "1 pairs of" in console.text
    assert "pairs.csv:66" in console.text
    folder = RunFolder(path=asked.run)
    looks = [line for line in folder.metrics.read() if "validation_loss" in line]
    assert looks[-1]["step"] == 6
    assert {"bleu", "validation_loss"} <= looks[-1].keys()
    assert (asked.run / "report.html").is_file()
    assert is_pair_model(asked.run)

    written = generate.run(
        generate.Config(model=asked.run, prompt="a i", max_tokens=5), console=console
    )
    assert written.form == "translation"
    assert console.products[-1] == written.text + "\n"
    asked_again = generate.Config(model=asked.run, prompt="a i", max_tokens=5, weights="fp32")
    assert generate.run(asked_again, console=console).text == written.text
    assert "weights=fp32: " in console.text
    judged = evaluate.run(evaluate.Config(model=asked.run, items=4), console=console)
    found = judged.results["pairs"]["measurements"]
    assert list(found) == ["bleu", "chrf", "exact", "bleu_lowercased"]
    assert found["bleu"]["n"] == 4
    assert judged.results["pairs"]["rivals"]["copy"]["chrf"]["value"] == found["chrf"]["chance"] > 0
    assert judged.report == asked.run / "report.html"
    page = judged.report.read_text()
    assert "An encoder-decoder" in page
    assert "the source, copied" in page
    kept = json.loads((asked.run / "report.json").read_text())
    assert kept["pairs"] == judged.results["pairs"]
    assert kept["model"]["architecture"] == "transformer"


def test_what_is_watched_and_shown_is_drawn_by_the_seed(
    tmp_path: Path, console: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway.evaluation.pairs.SHOWN", 4)
    path = tmp_path / "many.csv"
    rows = [f"{a}{b} {c},{c} {b}{a}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh"]
    path.write_text("source,target\n" + "\n".join(rows) + "\n")
    asked = config(tmp_path, steps=1, data=str(path))
    pretrain.run(asked, console=console)
    shown: dict[int, list[str]] = {}
    for seed in (0, 1, 2):
        wanted = evaluate.Config(model=asked.run, data=asked.data, seed=seed, beams=1, items=50)
        judged = evaluate.run(wanted, console=console)
        assert judged.report is None  # only a whole run has a page
        shown[seed] = [one["source"] for one in judged.results["pairs"]["drawn"]]
        assert len(shown[seed]) == 4
    assert len({tuple(sources) for sources in shown.values()}) == 3

    def watched(seed: int) -> list[str]:
        run = tmp_path / f"run{seed}"
        other = config(tmp_path, run=run, seed=seed, steps=1, data=str(path))
        pretrain.run(other, console=console)
        return [line["prompt"] for line in RunFolder(path=run).samples.read()]

    assert watched(1) != watched(2)


def test_a_recurrent_model_goes_the_same_way(tmp_path: Path, console: Listener) -> None:
    sizes = ModelSettings(architecture="seq2seq", context_length=24, width=16, num_layers=1)
    asked = config(tmp_path, model=sizes)
    pretrain.run(asked, console=console)
    written = generate.run(
        generate.Config(model=asked.run, prompt="a i", max_tokens=5), console=console
    )
    assert written.form == "translation"
    judged = evaluate.run(evaluate.Config(model=asked.run, items=4), console=console)
    assert judged.results["pairs"]["measurements"]["bleu"]["n"] == 4


def test_a_finished_run_is_not_done_again_and_another_one_is_refused(
    tmp_path: Path, console: Listener
) -> None:
    asked = config(tmp_path)
    pretrain.run(asked, console=console)
    pretrain.run(asked, console=console)
    assert "all 6 steps are done" in console.text
    with pytest.raises(ConfigError, match=r"pairs\.label_smoothing=0\.1, and 0\.0 was given"):
        pretrain.run(
            config(tmp_path, pairs=PairConfig(measured=3, label_smoothing=0.0)), console=console
        )


def test_each_kind_of_model_is_refused_where_the_other_is_needed(
    tmp_path: Path, console: Listener, model_folder: Any
) -> None:
    asked = config(tmp_path / "pairs")
    pretrain.run(asked, console=console)
    with pytest.raises(UsageError, match="reads one text and writes another"):
        open_model(asked.run)
    with pytest.raises(UsageError, match="goes on with a text; it reads no source"):
        open_pair_model(model_folder())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"top_k": 5}, "top_k= goes with a model that continues a text"),
        ({"form": "chat"}, "form= goes with a model that continues a text"),
        ({"prompt": " "}, "the source is empty"),
    ],
)
def test_what_does_not_go_with_a_source_is_told(
    tmp_path: Path, console: Listener, given: dict[str, Any], told: str
) -> None:
    asked = config(tmp_path, steps=1)
    pretrain.run(asked, console=console)
    with pytest.raises(ConfigError, match=told):
        generate.run(
            generate.Config(**({"model": asked.run, "prompt": "a b"} | given)), console=console
        )


def test_a_mixture_is_no_set_of_pairs(tmp_path: Path, console: Listener) -> None:
    from cutaway.data.parts import Part

    with pytest.raises(ConfigError, match="learns from pairs, not from a mixture"):
        pretrain.run(config(tmp_path, mixture=(Part(source="tang"),)), console=console)


def test_the_metrics_hold_the_loss_without_smoothing(tmp_path: Path, console: Listener) -> None:
    asked = config(tmp_path)
    pretrain.run(asked, console=console)
    lines = (asked.run / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines if "nats" in line]
    assert len(steps) == 6
    assert all(step["nats"] > 0 for step in steps)


def test_a_run_that_names_no_languages_is_judged_by_the_same_files(
    tmp_path: Path, console: Listener
) -> None:
    asked = config(tmp_path, steps=1, data=str(tmp_path / "train.de"))
    (tmp_path / "train.de").write_text("a b\nc d\ne f\ng h\n")
    (tmp_path / "train.en").write_text("b a\nd c\nf e\nh g\n")
    pretrain.run(asked, console=console)
    judged = evaluate.run(evaluate.Config(model=asked.run), console=console)
    assert judged.results["pairs"]["measurements"]["exact"]["n"] == 4
