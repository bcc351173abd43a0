"""Recipes and `key=value`: what is written is read again, and a mistake is told with its place."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import ConfigError
from cutaway.settings import differences, dump, field_documentation, load
from cutaway.settings.fields import keys_of, shape_of
from cutaway.settings.toml_text import lines_of_keys, write_toml


@dataclass(frozen=True, kw_only=True)
class Block:
    width: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""

    kind: Literal["mlp", "swiglu"] = "mlp"
    """Feed-forward form."""

    dropout: float = 0.0
    """Share of the channels that is dropped, 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout is a share from 0 to 1, and was given {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class Source:
    corpus: str
    """Name of a corpus."""

    share: float = 1.0
    """Weight beside the other sources."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    run: Path
    """The folder that the stage writes."""

    steps: int = 100
    """Optimizer steps."""

    compiled: bool = True
    """Whether the step is compiled."""

    name: str = "plain"
    """What the run is called."""

    window: int | None = 256
    """Tokens that attention sees; none: all."""

    resume: Path | None = None
    """A checkpoint to go on from."""

    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the two running averages."""

    skills: tuple[str, ...] = ()
    """Names of skills."""

    block: Block = Block()
    """One block."""

    second: Block | None = None
    """Another block, or none."""

    sources: tuple[Source, ...] = ()
    """Where the text comes from."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Weights by name."""


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(Stage, recipe=recipe, overrides=overrides, given={"run": "runs/a"})
    assert len(str(caught.value).splitlines()) <= 6
    return str(caught.value).replace(str(recipe), "recipe.toml")


def overridden(*overrides: str) -> Stage:
    return load(Stage, overrides=overrides, given={"run": "runs/a"})


# what is written is read again --------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OPTIONAL_TEXT = TEXT.filter(lambda text: text != "none")
PATHS = OPTIONAL_TEXT.filter(lambda text: "\x00" not in text).map(Path)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
BLOCKS = st.builds(
    Block,
    width=st.integers(1, 2**40),
    kind=st.sampled_from(["mlp", "swiglu"]),
    dropout=st.floats(0, 1),
)
STAGES = st.builds(
    Stage,
    run=PATHS,
    steps=INTEGERS,
    compiled=st.booleans(),
    name=TEXT,
    window=st.none() | INTEGERS,
    resume=st.none() | PATHS,
    betas=st.tuples(FLOATS, FLOATS),
    skills=st.lists(TEXT, max_size=3).map(tuple),
    block=BLOCKS,
    second=st.none() | BLOCKS,
    sources=st.lists(st.builds(Source, corpus=TEXT, share=FLOATS), max_size=3).map(tuple),
    shares=st.dictionaries(TEXT, FLOATS, max_size=3),
)


@given(stage=STAGES)
def test_a_config_that_is_dumped_and_loaded_is_the_same_config(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory
):
    recipe = tmp_path_factory.getbasetemp() / "dumped.toml"
    recipe.write_bytes(dump(stage).encode())
    assert load(Stage, recipe=recipe) == stage


@given(stage=STAGES)
def test_what_is_dumped_does_not_differ_from_itself(stage: Stage):
    assert differences(dump(stage), dump(stage)) == ()


@given(
    tree=st.recursive(
        st.integers(0, 9) | TEXT | st.booleans() | st.lists(TEXT, max_size=2),
        lambda inner: st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ).filter(lambda tree: isinstance(tree, dict))
)
def test_every_key_that_is_written_is_found_on_its_line(tree: dict[str, Any]):
    text = write_toml(tree)
    assert tomllib.loads(text) == tree
    lines = text.split("\n")
    for path, number in lines_of_keys(text).items():
        last = write_toml({str(path[-1]): 0}).split(" =")[0]
        assert last in lines[number - 1]
    assert len(lines_of_keys(text)) >= len(tree)


def test_a_text_that_means_nothing_cannot_be_dumped_where_nothing_is_allowed():
    @dataclass(frozen=True, kw_only=True)
    class Named:
        name: str | None = None

    with pytest.raises(ValueError, match="cannot be told from nothing"):
        dump(Named(name="none"))


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="finite"):
        dump(Stage(run=Path("a"), betas=(float("inf"), 0.9)))


# what wins ----------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('steps = 5\nname = "recipe"\n[block]\nwidth = 8\n')
    stage = load(Stage, recipe=recipe, overrides=["steps=7"], given={"run": "runs/a"})
    assert (stage.steps, stage.name, stage.block.width) == (7, "recipe", 8)
    assert stage.compiled is True


@dataclass(frozen=True, kw_only=True)
class Inner:
    block: Block = Block(width=512, kind="swiglu")
    """A block of another width than its class has by itself."""

    depth: int = 2
    """How many."""


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner(depth=6)
    """A table whose defaults are its field's."""

    rows: tuple[Inner, ...] = ()
    """More of them."""


def test_one_key_of_a_table_leaves_the_others_as_the_field_of_the_table_has_them():
    assert load(Outer, overrides=["inner.block.dropout=0.1"]) == Outer(
        inner=Inner(block=Block(width=512, kind="swiglu", dropout=0.1), depth=6)
    )


def test_the_tables_of_a_list_have_the_defaults_of_their_fields(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[[rows]]\nblock.dropout = 0.1\n")
    assert load(Outer, recipe=recipe).rows[0] == Inner(
        block=Block(width=512, kind="swiglu", dropout=0.1)
    )


def test_the_keys_of_a_table_are_shown_with_the_defaults_of_its_field():
    shown = {key.name: key.default for key in keys_of(Outer)}
    assert (shown["inner.depth"], shown["inner.block.width"]) == (6, 512)


def test_overrides_reach_into_tables_and_lists(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[sources]]\ncorpus = "a"\n[[sources]]\ncorpus = "b"\n')
    stage = load(
        Stage,
        recipe=recipe,
        overrides=["sources.1.share=0.5", "second.width=3", "shares.x=2"],
        given={"run": Path("r")},
    )
    assert stage.sources == (Source(corpus="a"), Source(corpus="b", share=0.5))
    assert stage.second == Block(width=3)
    assert stage.shares == {"x": 2.0}


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("name=2024", "name", "2024"),
        ("name=true", "name", "true"),
        ("name=a = b", "name", "a = b"),
        ('name="quoted"', "name", "quoted"),
        ("name=", "name", ""),
        ("name=[1]", "name", "[1]"),
        ("name=1979-05-27", "name", "1979-05-27"),
        ("name=1\nsteps = 2", "name", "1\nsteps = 2"),
        ("name=none", "name", "none"),
        ("window=none", "window", None),
        ("resume=none", "resume", None),
        ("resume=7", "resume", Path("7")),
        ("steps=1_000", "steps", 1000),
        ("steps=1e3", "steps", 1000),
        ("skills=dates,spelling", "skills", ("dates", "spelling")),
        ("skills=dates", "skills", ("dates",)),
        ("skills=[dates, spelling]", "skills", ("dates", "spelling")),
        ('skills=["a,b"]', "skills", ("a,b",)),
        ("skills=", "skills", ()),
        ("betas=0.5,1", "betas", (0.5, 1.0)),
        ("compiled=false", "compiled", False),
        ("block={width = 3}", "block", Block(width=3)),
    ],
)
def test_an_override_is_read_as_its_field_asks_for(override: str, key: str, value: object):
    assert getattr(overridden(override), key) == value


def test_a_text_given_by_its_place_is_taken_exactly():
    @dataclass(frozen=True, kw_only=True)
    class Asked:
        prompt: str | None = None

    assert load(Asked, given={"prompt": "none"}).prompt == "none"


def test_no_choice_of_a_key_that_may_be_left_out_is_the_word_for_leaving_it_out() -> None:
    with pytest.raises(TypeError, match="'none' could not be told from nothing"):
        shape_of(Literal["none", "some"] | None)
    assert shape_of(Literal["none", "some"]).described() == "one of none, some"


def test_a_config_given_by_a_stage_is_taken_whole():
    assert load(Stage, given={"run": Path("r"), "block": Block(width=5)}).block == Block(width=5)


# mistakes -----------------------------------------------------------------------------------


def test_an_unknown_key_names_the_file_the_line_and_the_nearest_key(tmp_path: Path):
    message = refused(tmp_path, 'name = """\nstpes = 1\n"""\n\nstpes = 3\n')
    assert message.startswith("recipe.toml, line 5: unknown key `stpes`; did you mean `steps`?")


def test_an_unknown_key_in_a_table_names_the_nearest_key_of_the_table(tmp_path: Path):
    message = refused(tmp_path, "[block]\n# widht = 2\nwidht = 3\n")
    assert message.splitlines() == [
        "recipe.toml, line 3: unknown key `block.widht`; did you mean `block.width`?",
        "keys allowed in `block`: width, kind, dropout",
    ]


def test_a_key_in_the_wrong_table_is_sent_to_the_right_one(tmp_path: Path):
    assert "did you mean `block.dropout`?" in refused(tmp_path, "dropout = 0.1\n")


def test_a_key_of_a_table_that_was_written_outside_is_sent_into_it(tmp_path: Path):
    assert "did you mean `block.width`?" in refused(tmp_path, "widht = 3\n")


def test_an_unknown_key_in_an_array_of_tables_names_its_own_line(tmp_path: Path):
    text = '[[sources]]\ncorpus = "a"\n\n[[sources]]\ncorpus = "b"\nshape = 1\n'
    message = refused(tmp_path, text)
    assert "line 6: unknown key `sources.1.shape`; did you mean `sources.1.share`?" in message


def test_an_unknown_key_on_the_command_line_is_shown_as_it_was_typed():
    with pytest.raises(
        ConfigError, match="command line, `stpes=3`: unknown key `stpes`; did you mean `steps`"
    ):
        overridden("stpes=3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('steps = "3"', 'line 1: `steps` was given the text "3"; allowed is a whole number'),
        ("steps = 2.5", "was given the number 2.5; allowed is a whole number"),
        ("steps = true", "was given true; allowed is a whole number"),
        ("steps = 9223372036854775808", "allowed is a whole number"),
        ("name = 3", "`name` was given the whole number 3; allowed is text"),
        ('compiled = "yes"', 'the text "yes"; allowed is true or false'),
        ("betas = [0.9]", "was given a list of 1; allowed is a list of 2: a number, a number"),
        ('window = "all"', "allowed is a whole number, or none"),
        ("betas = [nan, 0.9]", "`betas.0` was given the number nan; allowed is a number"),
        ("block = 3", "allowed is a table with the keys width, kind, dropout"),
        ("steps = [1]", "was given a list of 1; allowed is a whole number"),
        ("name = 1979-05-27", "1979-05-27 (a date); allowed is text"),
        ('block.kind = "swigul"', "allowed is one of mlp, swiglu; did you mean swiglu?"),
        ("[block]\nwidth = 0", "line 2: `block.width` given the whole number 0: input should be"),
        ("\n[block]\ndropout = 2.0", "line 3: dropout is a share from 0 to 1, and was"),
        ("[[sources]]\nshare = 1.0", "`sources.0.corpus` is missing"),
        ("\nsteps = !", "recipe.toml, line 2: not TOML: Invalid value"),
        ("steps = 1\nsteps = 2", "recipe.toml, line 2: not TOML: Cannot overwrite a value"),
        ("steps = 1" + "0" * 5000, "not TOML"),
        ("name = " + "[" * 5000, "not TOML"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_given_and_what_is_allowed(
    tmp_path: Path, text: str, said: str
):
    assert said in refused(tmp_path, text)


def test_an_empty_text_is_no_path():
    with pytest.raises(ConfigError, match='`run` was given the text ""; allowed is a path'):
        load(Stage, overrides=["run="])


def test_what_a_config_refuses_by_itself_is_told_with_the_place_of_its_key(tmp_path: Path):
    @dataclass(frozen=True, kw_only=True)
    class Checked:
        steps: int = 1
        """Steps."""
        minutes: float = 0.0
        """Minutes."""

        def __post_init__(self) -> None:
            raise ConfigError("minutes and steps do not go together")

    recipe = tmp_path / "recipe.toml"
    recipe.write_text("# a comment\nsteps = 3\n")
    with pytest.raises(ConfigError, match=r"recipe\.toml, line 2: minutes and steps do not"):
        load(Checked, recipe=recipe)
    with pytest.raises(ConfigError, match="command line, `minutes=3`: minutes and steps do not"):
        load(Checked, recipe=recipe, overrides=["minutes=3"])


def test_a_missing_key_is_told_with_its_meaning():
    with pytest.raises(ConfigError) as caught:
        load(Stage)
    assert str(caught.value) == "`run` is missing: write run=...\nThe folder that the stage writes."


def test_a_missing_key_of_a_list_of_tables_is_told_with_its_meaning(tmp_path: Path):
    message = refused(tmp_path, "[[sources]]\nshare = 1.0\n")
    assert message.splitlines()[1] == "Name of a corpus."


def test_several_mistakes_are_named_in_one_message(tmp_path: Path):
    assert "also wrong: `steps`, `name`" in refused(tmp_path, "steps = 0.5\nname = 1\noops = 2\n")


def test_a_key_given_by_its_place_and_by_its_name_is_refused():
    with pytest.raises(ConfigError, match="`run` is given twice"):
        overridden("run=runs/b")


@pytest.mark.parametrize(
    "override", ["steps", "=3", "block..width=3", "steps.more=3", "sources.0.share=1", "a\udc80=1"]
)
def test_an_override_that_cannot_be_placed_is_refused(override: str):
    with pytest.raises(ConfigError):
        overridden("steps=3", override)


def test_a_recipe_that_is_not_there_names_the_nearest_one(tmp_path: Path):
    (tmp_path / "3_pretrain.toml").write_text("")
    with pytest.raises(ConfigError, match=r"no such recipe; did you mean .*3_pretrain\.toml"):
        load(Stage, recipe=tmp_path / "3_pretain.toml")


def test_a_folder_is_not_a_recipe(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"a recipe is a \.toml file"):
        load(Stage, recipe=tmp_path)


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_bytes(b'steps = 1\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="line 2: byte 0xff is not UTF-8"):
        load(Stage, recipe=recipe)


def test_a_huge_file_is_not_read_as_a_recipe(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    with recipe.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ConfigError, match="so it is not a recipe"):
        load(Stage, recipe=recipe)


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_bytes(b"\xef\xbb\xbfsteps = 7\r\nname = 'x'\r\n")
    assert load(Stage, recipe=recipe, given={"run": "r"}).steps == 7


@pytest.mark.parametrize("key", ["_target_", "auto_map", "class_path", "__class__", "!!python"])
def test_no_key_of_a_recipe_can_name_code(tmp_path: Path, key: str):
    assert "unknown key" in refused(tmp_path, f"'{key}' = 'os.system'\n")


# documentation ------------------------------------------------------------------------------


def test_every_field_is_documented_by_the_text_under_it():
    documentation = field_documentation(Stage)
    assert list(documentation) == [field.name for field in dataclasses.fields(Stage)]
    assert documentation["window"] == "Tokens that attention sees; none: all."


def test_a_kind_that_no_config_may_hold_is_refused_when_it_is_read():
    @dataclass(frozen=True, kw_only=True)
    class Odd:
        anything: object = None

    with pytest.raises(TypeError, match="a config cannot hold"):
        load(Odd)


def test_differences_name_the_key_and_both_values():
    before, after = Stage(run=Path("a")), Stage(run=Path("a"), steps=7, second=Block())
    assert differences(dump(before), dump(after))[0] == (
        "`steps` was the whole number 100 and is now the whole number 7"
    )
