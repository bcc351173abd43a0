"""The command line: words sorted, help without torch, and every end with its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutaway import cli
from cutaway.cli import main, sort_words, verbs
from cutaway.console import Console
from cutaway.errors import DataError, Stopped, UsageError


@dataclass(frozen=True, kw_only=True)
class Config:
    model: Path = Path("none given")
    """The model that speaks."""

    prompt: str = ""
    """The text that it goes on from."""

    steps: int = 3
    """How long it goes on."""


@dataclass(frozen=True)
class Report:
    steps: int


Run = Callable[[Config, Console], Report | None]


def silent(config: Config, console: Console) -> None:
    return None


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The verb `generate`, played by a module whose `act` a test may set."""
    module = ModuleType("cutaway.stages.generate", "`cutaway generate`: text that goes on.")
    module.Config, module.POSITIONAL = Config, ("model", "prompt")  # type: ignore[attr-defined]
    module.act = silent  # type: ignore[attr-defined]
    module.run = lambda config, *, console: module.act(config, console)  # type: ignore[attr-defined]
    module.HAS_PRODUCT = True  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "verbs", lambda: {"generate": "text that goes on."})
    monkeypatch.setattr(cli, "_stage", lambda verb: module)
    monkeypatch.setattr(cli, "prepare_process", lambda: None)
    return module


def ends(stage: ModuleType, error: BaseException, *words: str) -> int:
    def act(config: Config, console: Console) -> None:
        raise error

    stage.act = act  # type: ignore[attr-defined]
    return main(["generate", *words])


# words --------------------------------------------------------------------------------------


def test_words_are_told_apart_by_their_form():
    told = sort_words(
        ["runs/demo", "steps=3", "a prompt", "recipe.toml", "x.y="],
        positional=("model", "prompt"),
        verb="generate",
    )
    assert told.given == {"model": "runs/demo", "prompt": "a prompt"}
    assert told.recipe == Path("recipe.toml")
    assert told.overrides == ("steps=3", "x.y=")


@pytest.mark.parametrize("prompt", ["2 + 2 = ", "-5 + 3 =", "", "- a list", "=", "why?", "-3"])
def test_a_prompt_may_hold_what_looks_almost_like_a_key_or_an_option(prompt: str):
    told = sort_words(["m", prompt], positional=("model", "prompt"), verb="generate")
    assert told.given["prompt"] == prompt


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "b", "c"], "`c` is a word too many; it takes MODEL, PROMPT"),
        (["a.toml", "b.toml"], "one recipe at a time"),
        (["--steps=5"], "keys are written without dashes: steps=5"),
        (["--learning-rate"], "is not an option; write learning_rate=..."),
        (["--jsn"], "did you mean --json?"),
    ],
)
def test_words_that_fit_nowhere_are_refused(words: list[str], said: str):
    with pytest.raises(UsageError) as caught:
        sort_words(words, positional=("model", "prompt"), verb="generate")
    assert said in str(caught.value)


def test_the_words_reach_the_stage_as_its_config(stage: ModuleType):
    seen: list[Config] = []
    stage.act = lambda config, console: seen.append(config)  # type: ignore[attr-defined]
    assert main(["generate", "runs/a", "123", "steps=5"]) == 0
    assert seen == [Config(model=Path("runs/a"), prompt="123", steps=5)]


@pytest.mark.parametrize("prompt", ["-5 + the = ", "-hello there", "--", "a -- b", "--json?"])
def test_no_prompt_is_taken_for_an_option(stage: ModuleType, prompt: str):
    seen: list[Config] = []
    stage.act = lambda config, console: seen.append(config)  # type: ignore[attr-defined]
    assert main(["generate", "m", prompt, "steps=5"]) == 0
    assert seen == [Config(model=Path("m"), prompt=prompt, steps=5)]


WORDS = st.text(st.characters(exclude_characters="\x00"), max_size=8)
KEYS = st.sampled_from(["steps", "prompt", "model", "model.x", "a-b", "", "-", "--json", "x.toml"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS | st.builds("{}={}".format, KEYS, WORDS) | KEYS, max_size=4))
def test_no_words_end_in_anything_but_success_or_a_mistake_of_usage(
    stage: ModuleType, words: list[str]
):
    assert main(["generate", *words]) in {0, 2}


# ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no data"), 3),
        (Stopped("stopped"), 75),
        (KeyboardInterrupt(), 130),
        (MemoryError("big"), 5),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 5),
        (OSError(28, "No space left on device"), 5),
        (PermissionError(13, "Permission denied", "runs"), 5),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_end_has_its_code_and_at_most_six_lines_on_standard_error(
    stage: ModuleType, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
):
    assert ends(stage, error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("stopped" if code == 75 else "error: ")
    assert 1 <= len(said.err.splitlines()) <= 6
    assert "Traceback" not in said.err


def test_a_mistake_of_ours_says_how_to_see_where(
    stage: ModuleType, capsys: pytest.CaptureFixture[str]
):
    ends(stage, ZeroDivisionError("division by zero"))
    said = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in said
    assert "--debug" in said


def test_debug_shows_the_traceback(stage: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert ends(stage, DataError("no data"), "--debug") == 3
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.endswith("error: no data\n")


def test_errors_are_objects_for_a_program(stage: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert ends(stage, DataError("no data"), "--json") == 3
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {"error": {"kind": "DataError", "code": 3, "message": "no data"}}


def test_a_wrong_verb_is_an_object_for_a_program_too(
    stage: ModuleType, capsys: pytest.CaptureFixture[str]
):
    assert main(["genrate", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "UsageError"


def test_the_report_is_the_last_object(stage: ModuleType, capsys: pytest.CaptureFixture[str]):
    def act(config: Config, console: Console) -> Report:
        console.say("working")
        return Report(steps=config.steps)

    stage.act = act  # type: ignore[attr-defined]
    assert main(["generate", "--json", "steps=4"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"message": "working"}, {"report": {"steps": 4}}]


def test_a_product_has_standard_output_to_itself(
    stage: ModuleType, capsys: pytest.CaptureFixture[str]
):
    def act(config: Config, console: Console) -> None:
        console.say("thinking")
        console.product("the end")

    stage.act = act  # type: ignore[attr-defined]
    main(["generate"])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("the end\n", "thinking\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["genrate"], "`genrate` is not a verb; did you mean `generate`?"),
        (["--debug"], "the verb comes first"),
        (["generate", "stpes=3"], "unknown key `stpes`; did you mean `steps`?"),
        (["generate", "steps=many"], 'was given the text "many"; allowed is a whole number'),
        (["generate", "missing.toml"], "no such recipe"),
        (["generate", "a", "model=b"], "`model` is given twice"),
    ],
)
def test_mistakes_of_usage_exit_with_2(
    stage: ModuleType, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    assert main(words) == 2
    assert said in capsys.readouterr().err


# help ---------------------------------------------------------------------------------------


def test_help_tells_every_key_with_its_kind_its_default_and_its_meaning(
    stage: ModuleType, capsys: pytest.CaptureFixture[str]
):
    assert main(["generate", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cutaway generate [MODEL] [PROMPT] [RECIPE.toml] [key=value ...]")
    assert "steps= a whole number; default 3\n    How long it goes on.\n" in said


def test_no_words_are_a_call_for_help(stage: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    assert "generate" in capsys.readouterr().out


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_help_imports_nothing_heavy():
    code = "import sys; from cutaway.cli import main; main(['--help']); print(*sys.modules)"
    heavy = {"torch", "numpy", "pyarrow", "pydantic", "matplotlib", "tokenizers", "safetensors"}
    assert heavy & set(run_python(code).split()) == set()


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_the_help_of_no_verb_imports_torch(verb: str):
    code = (
        "import sys; from cutaway.cli import main;"
        f"code = main([{verb!r}, '--help']); print(code, 'torch' in sys.modules)"
    )
    assert run_python(code).splitlines()[-1] == "0 False"


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_key_of_every_verb_is_documented(verb: str):
    keys = cli.keys_of(cli._stage(verb).Config)
    assert [key.name for key in keys if not key.documentation] == []


def test_the_verbs_stand_in_the_order_in_which_the_data_flows():
    assert list(verbs()) == [verb for verb in cli.VERBS if verb in verbs()]
    assert all(sentence for sentence in verbs().values())


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "cutaway", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().count(".") == 2


def test_a_reader_that_leaves_early_hears_no_complaint(tmp_path: Path):
    command = f"{sys.executable} -m cutaway doctor measure=false corpora=false --json | true"
    done = subprocess.run(
        ["sh", "-c", f"set -e; {command}"],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
