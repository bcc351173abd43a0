"""`cutaway reward` and `cutaway align`, from judgements and rewards to a model that competes."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.alignment.choices import BestOfConfig, DPOConfig, GRPOConfig, PPOConfig
from cutaway.errors import ConfigError, DataError
from cutaway.interop.open import open_model
from cutaway.run_folder import RunFolder
from cutaway.stages import align, reward
from cutaway.stages.aligning import MannerConfig
from tests.stages.conftest import Listener

QUICK = MannerConfig(threads=1)
SMALL: dict[str, Any] = {
    "held_out": 4,
    "trials": 4,
    "max_tokens": 8,
    "steps": 3,
    "manner": QUICK,
    "ppo": PPOConfig(answers=6, minibatch=3),
    "grpo": GRPOConfig(prompts=2, answers=3),
    "best_of": BestOfConfig(prompts=2, answers=3),
    "dpo": DPOConfig(pairs=4, drawn=8, answers=3),
}


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    drawn = random.Random(1)
    words = ["".join(drawn.choices("abcdefgh", k=4)) for _ in range(120)]
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"Spell {word}.\n" for word in words))
    return str(path)


@pytest.fixture
def judgements(tmp_path: Path) -> str:
    """A person who likes the letter a."""
    drawn, rows = random.Random(2), []
    while len(rows) < 120:
        texts = ["".join(drawn.choices("abc", k=5)) for _ in range(2)]
        better, worse = sorted(texts, key=lambda text: -text.count("a"))
        if better.count("a") > worse.count("a"):
            asked = "".join(drawn.choices("abcdefgh", k=4))
            rows.append({"prompt": f"Say {asked}.", "chosen": better, "rejected": worse})
    path = tmp_path / "judged.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


Folder = Callable[..., Path]


@pytest.mark.parametrize("method", ["ppo", "grpo", "best_of", "dpo"])
def test_every_method_ends_in_a_model_that_answers_and_a_trial_with_an_interval(
    method: Any, model_folder: Folder, prompts: str, console: Listener, tmp_path: Path
) -> None:
    config = align.Config(
        model=model_folder(stage="finetune"),
        run=tmp_path / "aligned",
        method=method,
        reward="taste",
        prompts=prompts,
        **SMALL,
    )
    report = align.run(config, console=console)
    assert report.steps == 3
    assert report.win_rate is not None
    assert 0 <= report.win_rate.low <= report.win_rate.value <= report.win_rate.high <= 1
    opened = open_model(config.run)
    assert opened.source.stage == "align"
    assert opened.source.can_chat
    rows = RunFolder(path=config.run).metrics.read()
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    if method != "dpo":
        assert {"reward", "kl", "entropy", "length"} <= steps[-1].keys()
    assert sum("win_rate" in row for row in rows) == 1
    samples = RunFolder(path=config.run).samples.read()
    assert {samples[0]["step"], samples[-1]["step"]} == {0, 3}
    assert "held-out questions, the model before and after" in console.text
    page = (config.run / "report.html").read_text()
    assert "The aligned model against the one it began as" in page


def test_a_reward_model_is_learned_and_followed(
    model_folder: Folder, prompts: str, judgements: str, console: Listener, tmp_path: Path
) -> None:
    model = model_folder(stage="finetune")
    config = reward.Config(
        model=model, data=judgements, run=tmp_path / "reward", steps=20, manner=QUICK
    )
    report = reward.run(config, console=console)
    assert report.judgements > 90
    assert report.taste is None
    assert 0 <= report.accuracy.low <= report.accuracy.high <= 1
    assert not open_model(config.run).source.can_chat
    followed = align.Config(
        model=model,
        run=tmp_path / "aligned",
        reward=str(config.run),
        truth="taste",
        prompts=prompts,
        **SMALL,
    )
    done = align.run(followed, console=console)
    assert done.reward is not None
    looks = [row for row in RunFolder(path=followed.run).metrics.read() if "truth" in row]
    assert looks[0]["step"] == 0
    assert looks[0]["held_out_kl"] == pytest.approx(0.0, abs=1e-4)


def test_dpo_learns_from_judgements_alone_and_says_how_many_it_agrees_with(
    model_folder: Folder, prompts: str, judgements: str, console: Listener, tmp_path: Path
) -> None:
    config = align.Config(
        model=model_folder(stage="finetune"),
        run=tmp_path / "aligned",
        method="dpo",
        data=judgements,
        prompts=prompts,
        **SMALL,
    )
    report = align.run(config, console=console)
    assert report.win_rate is None
    assert report.held_out_accuracy is not None


def test_a_truth_is_watched_where_judgements_alone_are_learned_from(
    model_folder: Folder, prompts: str, judgements: str, console: Listener, tmp_path: Path
) -> None:
    config = align.Config(
        model=model_folder(stage="finetune"),
        run=tmp_path / "aligned",
        method="dpo",
        data=judgements,
        truth="taste",
        prompts=prompts,
        **SMALL,
    )
    assert align.run(config, console=console).win_rate is not None
    assert any("truth" in row for row in RunFolder(path=config.run).metrics.read())


def test_the_same_command_again_changes_nothing(
    model_folder: Folder, prompts: str, console: Listener, tmp_path: Path
) -> None:
    config = align.Config(
        model=model_folder(stage="finetune"),
        run=tmp_path / "aligned",
        reward="taste",
        prompts=prompts,
        **SMALL,
    )
    align.run(config, console=console)
    before = RunFolder(path=config.run).metrics.read()
    align.run(config, console=console)
    assert RunFolder(path=config.run).metrics.read() == before
    assert "align: all 3 steps are done" in console.text


def test_a_reward_that_fails_is_named_and_the_run_is_kept(
    model_folder: Folder, prompts: str, console: Listener, tmp_path: Path
) -> None:
    program = tmp_path / "score"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfor n, line in enumerate(sys.stdin):\n"
        "    print('nan' if n > 20 else 1, flush=True)\n"
    )
    program.chmod(0o755)
    config = align.Config(
        model=model_folder(stage="finetune"),
        run=tmp_path / "aligned",
        reward=f"program:{program}",
        prompts=prompts,
        **SMALL,
    )
    with pytest.raises(DataError, match="times: gave nan, which is not finite"):
        align.run(config, console=console)
    assert open_model(config.run).source.stage == "align"


def test_a_model_that_cannot_answer_is_not_aligned(
    model_folder: Folder, console: Listener, tmp_path: Path
) -> None:
    config = align.Config(model=model_folder(), run=tmp_path / "aligned", reward="taste")
    with pytest.raises(ConfigError, match="has not learned to answer"):
        align.run(config, console=console)


def test_without_a_reward_or_judgements_there_is_nothing_to_follow() -> None:
    with pytest.raises(ConfigError, match="method=ppo needs a reward"):
        align.Config(model=Path("runs/demo"))
    with pytest.raises(ConfigError, match="only dpo learns from judgements"):
        align.Config(model=Path("runs/demo"), reward="taste", data="runs/demo")
    with pytest.raises(ConfigError, match="method=dpo needs a reward"):
        align.Config(model=Path("runs/demo"), method="dpo")


def test_a_model_without_a_reward_head_gives_no_reward(
    model_folder: Folder, prompts: str, console: Listener, tmp_path: Path
) -> None:
    model = model_folder(stage="finetune")
    config = align.Config(
        model=model, run=tmp_path / "aligned", reward=str(model), prompts=prompts, **SMALL
    )
    with pytest.raises(ConfigError, match="a model without a reward head"):
        align.run(config, console=console)


@pytest.mark.parametrize("data", ["nowhere", "."])
def test_where_there_are_no_judgements_it_says_how_to_make_some(
    data: str, model_folder: Folder, console: Listener, tmp_path: Path
) -> None:
    config = reward.Config(
        model=model_folder(stage="finetune"), data=str(tmp_path / data), run=tmp_path / "reward"
    )
    with pytest.raises(DataError, match="cutaway label RUN"):
        reward.run(config, console=console)
