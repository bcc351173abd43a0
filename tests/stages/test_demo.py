"""The demo's pace: a step that is not compiled is given its time."""

from dataclasses import replace

import pytest

from cutaway import devices
from cutaway.stages import demo
from tests.stages.conftest import Listener


@pytest.mark.parametrize(("compiler", "expected"), [(True, 1.0), (False, demo.UNCOMPILED)])
def test_a_machine_without_a_compiler_is_given_more_time_and_told(
    compiler: bool, expected: float, console: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = devices.describe_machine()
    found = here.compiler or demo.recipes_folder()
    monkeypatch.setattr(
        devices, "describe_machine", lambda: replace(here, compiler=found if compiler else None)
    )
    monkeypatch.setattr(devices, "find_accelerator", lambda: ("cpu", "none"))
    assert demo._usual_pace(console) == expected
    assert any("1.6 times" in line for line in console.lines) is not compiler


def test_the_pace_multiplies_the_minutes_of_a_recipe() -> None:
    recipe = demo.recipes_folder() / "demo" / "1_pretrain.toml"
    assert demo._paced(recipe, 1.0) == []
    (word,) = demo._paced(recipe, 2.0)
    assert word == "minutes=10.4"
