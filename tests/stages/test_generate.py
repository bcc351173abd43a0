"""`cutaway generate`: the continuation alone, the same for the same seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import CheckpointError, ConfigError, UsageError
from cutaway.stages.generate import Config, run


def written(console: Any) -> str:
    """What went to standard output, without the end of its last line."""
    return "".join(console.products).removesuffix("\n")


def test_the_continuation_alone_is_the_product(
    model_folder: Callable[..., Path], console: Any
) -> None:
    report = run(Config(model=model_folder(), prompt="hello", max_tokens=12), console=console)
    assert written(console) == report.text
    assert report.form == "text"
    assert report.prompt_tokens == 6


def test_the_same_seed_writes_the_same_text(
    model_folder: Callable[..., Path], console: Any
) -> None:
    model = model_folder()
    texts = [
        run(Config(model=model, prompt="ab", seed=seed, max_tokens=20), console=console).text
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_temperature_of_zero_needs_no_seed(
    model_folder: Callable[..., Path], console: Any
) -> None:
    model = model_folder()
    texts = {
        run(
            Config(model=model, prompt="ab", seed=seed, temperature=0.0, max_tokens=20),
            console=console,
        ).text
        for seed in range(3)
    }
    assert len(texts) == 1


def test_a_fine_tuned_model_answers_and_a_base_model_goes_on(
    model_folder: Callable[..., Path], console: Any
) -> None:
    model = model_folder(stage="finetune")
    assert run(Config(model=model, prompt="hi", max_tokens=2), console=console).form == "chat"
    text = Config(model=model, prompt="hi", max_tokens=2, form="text")
    assert run(text, console=console).form == "text"


def test_a_system_prompt_takes_its_place(model_folder: Callable[..., Path], console: Any) -> None:
    model = model_folder(stage="finetune")
    short = run(Config(model=model, prompt="hi", max_tokens=2), console=console)
    long = run(Config(model=model, prompt="hi", system="abc", max_tokens=2), console=console)
    assert long.prompt_tokens == short.prompt_tokens + 5


def test_a_full_context_ends_the_text_and_is_told(
    model_folder: Callable[..., Path], console: Any
) -> None:
    model = model_folder(never_stops=True)
    config = Config(model=model, prompt="a" * 40, max_tokens=500, temperature=0.0)
    report = run(config, console=console)
    assert report.finish_reason == "length"
    assert report.prompt_tokens + report.tokens == 64
    assert "the context of 64 is full" in console.text


def test_a_prompt_that_fills_the_context_is_refused(
    model_folder: Callable[..., Path], console: Any
) -> None:
    with pytest.raises(UsageError, match="has 101 tokens"):
        run(Config(model=model_folder(), prompt="a" * 100), console=console)
    assert written(console) == ""


def test_an_empty_prompt_starts_a_text_but_asks_nothing(
    model_folder: Callable[..., Path], console: Any
) -> None:
    assert run(Config(model=model_folder(), max_tokens=3), console=console).prompt_tokens == 1
    with pytest.raises(ConfigError, match="ask something"):
        run(Config(model=model_folder(), form="chat"), console=console)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"form": "text", "system": "be kind"}, "system= is for form=chat"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Config(model=Path("runs/demo"), **settings)


def test_settings_are_checked_before_the_model_is_opened(console: Any) -> None:
    config = Config(model=Path("nowhere"), temperature=-1.0)
    with pytest.raises(ConfigError, match=r"temperature is -1\.0"):
        run(config, console=console)


def test_a_model_that_is_not_there_is_told(console: Any) -> None:
    with pytest.raises(CheckpointError, match="no model at nowhere"):
        run(Config(model=Path("nowhere"), prompt="x"), console=console)


def test_compiled_kernels_write_the_text_of_the_plain_model(
    model_folder: Callable[..., Path], console: Any
) -> None:
    model = model_folder()
    plain, fast = (
        run(
            Config(model=model, prompt="ab", temperature=0.0, max_tokens=12, weights=weights),
            console=console,
        ).text
        for weights in ("plain", "fp32")
    )
    assert plain == fast
