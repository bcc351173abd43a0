"""The command line: one verb for each stage, found by its name and imported when it is called.

`cutaway VERB [SUBJECT] [RECIPE.toml] [key=value ...] [--json] [--debug]`. A stage's module has

- `Config`, a frozen dataclass; the docstrings of its fields are the help text;
- `POSITIONAL`, the names of the fields that words without `=` fill, in order;
- `HAS_PRODUCT` where standard output belongs to what the verb makes, and all else goes beside;
- `run(config, *, console)`, which imports torch itself and returns a report, or nothing.
"""

import ast
import contextlib
import errno
import functools
import importlib
import importlib.metadata
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cutaway import settings
from cutaway.console import Console, JsonConsole, PlainConsole
from cutaway.devices import prepare_process
from cutaway.errors import CutawayError, ResourceError, UsageError
from cutaway.settings.fields import Field, keys_of

VERBS = (
    *("doctor", "demo", "data", "tokenizer", "pretrain", "finetune", "label", "reward", "align"),
    *("evaluate", "generate", "chat", "serve", "inspect", "lab", "plan", "launch"),
    *("export", "import", "show"),
)
"""In the order in which the data flows; those whose stage is there are offered."""

MODULES = {"import": "import_"}
"""Where a verb is a word of Python, so that its module cannot have its name."""

KEY_AND_VALUE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*=.*", re.DOTALL)
OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]*(=.*)?", re.DOTALL)
HELP_NAMES = {"help_option_names": ["-h", "--help"]}
OPTIONS = {"-h", "--help", "--json", "--debug"}

MACHINE_LIMITS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM}

INTERRUPTED = 130

INTRODUCTION = """Builds a language model from raw text, every part of it, and shows its inside.

Begin with `cutaway doctor`, then `cutaway demo`; `cutaway VERB --help` lists a verb's keys.
"""


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words behind a verb, sorted into what they are."""

    given: dict[str, str]
    recipe: Path | None
    overrides: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        _refuse_unknown_verb(words)
        ended = _application()(args=_arranged(words), prog_name="cutaway", standalone_mode=False)
        return int(ended or 0)
    except CutawayError as error:
        return _fail(error, console=_console(as_json="--json" in words), debug=False)


@functools.cache
def verbs() -> Mapping[str, str]:
    """The verbs whose stage is there, each with the sentence that its module begins with."""
    found = {}
    for verb in VERBS:
        path = Path(__file__).parent / "stages" / f"{MODULES.get(verb, verb)}.py"
        if path.is_file():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            sentence = text.split("\n\n")[0].replace("\n", " ")
            found[verb] = re.sub(r"^`[^`]*`: ", "", sentence)
    return MappingProxyType(found)


def sort_words(words: Sequence[str], *, positional: Sequence[str], verb: str) -> Words:
    """Tells `key=value`, a recipe and the words that fill fields by their place apart.

    Raises:
        UsageError: a word too many, a second recipe, or an option that no verb has.
    """
    given: dict[str, str] = {}
    recipes: list[Path] = []
    overrides: list[str] = []
    for word in words:
        if OPTION.fullmatch(word):
            raise UsageError(_unknown_option(word))
        if KEY_AND_VALUE.fullmatch(word):
            overrides.append(word)
        elif word.endswith(".toml"):
            recipes.append(_recipe(word))
        elif len(given) < len(positional):
            given[positional[len(given)]] = word
        else:
            takes = "".join(f"{name.upper()}, " for name in positional)
            raise UsageError(
                f"cutaway {verb}: `{word[:160]}` is a word too many; it takes {takes}"
                "a RECIPE.toml\nand key=value, such as data=PATH or run=PATH; "
                "quote a text that has spaces"
            )
    if len(recipes) > 1:
        raise UsageError(f"one recipe at a time: {recipes[0]} or {recipes[1]}")
    return Words(given=given, recipe=recipes[0] if recipes else None, overrides=tuple(overrides))


class VerbCommand(TyperCommand):
    """A verb whose help is written from the field docstrings of its stage's config."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The usage, the module's docstring, and every key."""
        formatter.write(_help(str(self.name)))


def _application() -> typer.Typer:
    application = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=HELP_NAMES,
        subcommand_metavar="VERB [SUBJECT] [RECIPE.toml] [key=value ...] [--json] [--debug]",
        help=INTRODUCTION,
    )
    application.callback(invoke_without_command=True)(_global_options)
    for verb, sentence in verbs().items():
        application.command(
            verb,
            cls=VerbCommand,
            short_help=sentence,
            context_settings=HELP_NAMES,
        )(_called(verb))
    return application


def _global_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(importlib.metadata.version("cutaway"))
        raise typer.Exit


def _called(verb: str) -> Callable[..., int]:
    def call(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        as_json: Annotated[bool, typer.Option("--json")] = False,
        debug: Annotated[bool, typer.Option("--debug")] = False,
    ) -> int:
        return _run(verb, words or [], as_json=as_json, debug=debug)

    return call


def _run(verb: str, words: Sequence[str], *, as_json: bool, debug: bool) -> int:
    """Runs one verb; whatever happens becomes an exit code and at most six lines."""
    console = _console(as_json=as_json)
    try:
        prepare_process()
        stage = _stage(verb)
        console = _console(as_json=as_json, has_product=getattr(stage, "HAS_PRODUCT", False))
        told = sort_words(words, positional=stage.POSITIONAL, verb=verb)
        config = settings.load(
            stage.Config, recipe=told.recipe, overrides=told.overrides, given=told.given
        )
        report = stage.run(config, console=console)
        if isinstance(console, JsonConsole) and report is not None:
            console.emit({"report": report})
    except KeyboardInterrupt:
        console.fail("Interrupted", "interrupted", code=INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our product has enough; the interpreter must not flush into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _fail(error, console=console, debug=debug)
    return 0


def _fail(error: Exception, *, console: Console, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    told = _explained(error)
    console.fail(type(told).__name__, str(told), code=told.exit_code)
    return told.exit_code


def _explained(error: Exception) -> CutawayError:
    """The error as one of ours; what is neither ours nor the machine's is a mistake of ours."""
    if isinstance(error, CutawayError):
        return error
    said = str(error).strip().split("\n")[0][:300]
    is_memory = type(error).__name__ in {"MemoryError", "OutOfMemoryError"}
    if is_memory or "DefaultCPUAllocator" in str(error):
        return ResourceError(
            f"not enough memory: {said}\n"
            "choose a smaller size=, a smaller batch or a shorter context"
        )
    if isinstance(error, OSError) and error.errno in MACHINE_LIMITS:
        return ResourceError(f"{error.filename or 'the machine'}: {error.strerror}")
    return CutawayError(
        f"{type(error).__name__}: {said}\n"
        "this should not happen; the same command with --debug shows where it did"
    )


def _stage(verb: str) -> ModuleType:
    return importlib.import_module(f"cutaway.stages.{MODULES.get(verb, verb)}")


def _console(*, as_json: bool, has_product: bool = False) -> Console:
    if os.environ.get("RANK", "0") != "0":
        # One of several that learn together (torchrun): the first of them speaks for all.
        nowhere = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
        return PlainConsole(prose=nowhere, output=nowhere, errors=sys.stderr)
    if as_json:
        return JsonConsole(output=sys.stdout)
    return PlainConsole(
        prose=sys.stderr if has_product else sys.stdout, output=sys.stdout, errors=sys.stderr
    )


def _refuse_unknown_verb(words: Sequence[str]) -> None:
    verb = words[0]
    if verb.startswith("-"):
        known = {"-h", "--help", "--version", "--install-completion", "--show-completion"}
        if verb not in known:
            raise UsageError(f"cutaway {verb}: the verb comes first: cutaway VERB ... {verb}")
    elif verb not in verbs():
        near = get_close_matches(verb, verbs(), n=1)
        advice = f"; did you mean `{near[0]}`?" if near else ""
        raise UsageError(f"`{verb[:80]}` is not a verb{advice}\nverbs: {', '.join(verbs())}")


def _arranged(words: Sequence[str]) -> list[str]:
    """The options first: no other word, such as the prompt `-3 + 5 =`, can be taken for one."""
    verb, *rest = words
    if verb.startswith("-"):
        return list(words)
    options = [word for word in rest if word in OPTIONS]
    return [verb, *options, "--", *(word for word in rest if word not in OPTIONS)]


def _unknown_option(word: str) -> str:
    name, equals, value = word.lstrip("-").partition("=")
    if equals:
        key = name.replace("-", "_")
        return f"`{word[:160]}`: keys are written without dashes: {key}={value[:80]}"
    near = get_close_matches(word, ["--json", "--debug", "--help"], n=1)
    advice = f"did you mean {near[0]}?" if near else f"write {name.replace('-', '_')}=..."
    return f"`{word[:160]}` is not an option; {advice}\noptions: --json --debug --help"


def _recipe(word: str) -> Path:
    """The recipe at a path; those that come with the package are found without a checkout."""
    path = Path(word)
    installed = Path(__file__).parent / path
    return installed if path.parts[0] == "recipes" and not path.exists() else path


def _help(verb: str) -> str:
    stage = _stage(verb)
    width = min(100, shutil.get_terminal_size().columns)
    needed = {key.name for key in keys_of(stage.Config) if key.default is MISSING}
    subjects = "".join(
        f" {name.upper()}" if name in needed else f" [{name.upper()}]" for name in stage.POSITIONAL
    )
    lines = [
        f"cutaway {verb}{subjects} [RECIPE.toml] [key=value ...] [--json] [--debug]",
        "",
        (stage.__doc__ or "").strip(),
        "",
    ]
    for key in keys_of(stage.Config):
        lines.append(f"{key.name}= {_allowed(key)}")
        lines += textwrap.wrap(
            key.documentation,
            width,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def _allowed(key: Field) -> str:
    """What a key takes, and what it is where it is not given."""
    if key.is_table and isinstance(key.default, list | tuple):
        return f"tables, each begun by [[{key.name}]] in a recipe; their keys follow"
    if key.is_table:
        return "a table; its keys follow"
    if key.default is MISSING:
        return f"{key.allowed}; must be given"
    return f"{key.allowed}; default {_default(key.default)}"


def _default(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str() | int() | float() | Path():
            return str(value) or '""'
        case tuple() | list() | dict() if not value:
            return "empty"
        case tuple() | list():
            return ",".join(_default(inner) for inner in value)
    return str(value)
