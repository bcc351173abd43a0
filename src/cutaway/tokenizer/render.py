"""Renders chat templates in a process of its own, so that a hostile one harms nothing else.

This file is run, not imported: it reads one JSON request a line and writes one JSON answer a line.
A template is a program from a stranger. Jinja's sandbox keeps it from reaching Python; the limits
of this process keep it from filling the memory, and the parent ends the process in time.
"""

import json
import resource
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes
from jinja2.parser import Parser

MEMORY = 2**29
"""Bytes that this process may take."""

LONGEST_FORMAT = 64
"""Characters of a format of dates."""


class Refused(jinja2.TemplateError):
    """The template itself says that a conversation is none for it."""


class Generation(jinja2.ext.Extension):
    """`{% generation %}`, by which templates mark what an assistant wrote; it changes no text."""

    tags = {"generation"}  # noqa: RUF012 (as Jinja declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements between the two tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=8)
def compiled(template: str) -> jinja2.Template:
    """A template in the dialect in which models publish theirs."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    return environment.from_string(template)


def rendered(request: dict[str, Any]) -> dict[str, str]:
    """The text of a request, or the reason why there is none."""
    try:
        size, parts = 0, []
        for part in compiled(request["template"]).generate(**request["variables"]):
            size += len(part)
            if size > request["longest"]:
                return {"broken": f"it writes more than {request['longest']:,} characters"}
            parts.append(part)
        return {"text": "".join(parts)}
    except Refused as error:
        return {"refused": str(error)[:300]}
    except RecursionError:
        return {"broken": "it calls itself without end"}
    except MemoryError:
        return {"broken": "it needs too much memory"}
    except Exception as error:  # whatever a stranger's program can raise
        return {"broken": f"{type(error).__name__}: {error}"[:300]}


def _refuse(message: object) -> None:
    raise Refused(str(message))


def _now(form: object) -> str:
    return datetime.now().strftime(str(form)[:LONGEST_FORMAT])


def _to_json(value: object, ensure_ascii: bool = False, **form: Any) -> str:
    allowed = {key: form[key] for key in ("indent", "separators", "sort_keys") if key in form}
    return json.dumps(value, ensure_ascii=ensure_ascii, **allowed)


def _limit() -> None:
    """No more memory than is needed, no file written, no dump of what went wrong."""
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def main(answer: Callable[[str], object]) -> None:
    """Answers requests until there are no more."""
    _limit()
    for line in sys.stdin:
        answer(json.dumps(rendered(json.loads(line))) + "\n")


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main(_write)
