"""Judgements from and to other programs: TRL's JSON lines, Label Studio's JSON, and CSV.

A file that came from outside says nothing about seeds or models, so its answers are texts alone.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from cutaway.alignment.judgements import Answer, Comparison, Judged, Judgement
from cutaway.alignment.preferences import pairs
from cutaway.durable import write_file
from cutaway.errors import DataError
from cutaway.text.conversations import Message
from cutaway.text.json_files import Record, listed, read_json_array, read_json_lines
from cutaway.text.published import PREFERENCES

Form = Literal["trl", "label-studio", "csv"]

_ROLES = ("system", "user", "assistant")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_COLUMNS = (
    *("number", "time", "rater", "judge", "verdict", "better", "reasons", "showing", "seconds"),
    *("prompt", "first", "second", "third", "fourth", "ranking"),
)


def read_preferences(path: Path, *, rater: str) -> Iterator[Judged]:
    """Reads preferences: prompt, chosen and rejected; an instruction for a prompt; Label Studio.

    A prompt and its answers are texts, or lists of messages; without a prompt the messages that
    both lists begin with are the prompt (TRL's implicit form).

    Raises:
        DataError: a line is broken or says something else; the message names it.
    """
    read = read_json_array if path.name.lower().endswith(".json") else read_json_lines
    if not path.is_file():
        raise DataError(f"there is no file {path}\nGive a .jsonl, .jsonl.gz or .json file.")
    found = False
    for record in read(path):
        found = True
        yield _judged(record, rater=rater)
    if not found:
        raise DataError(f"{path} holds no preferences: it is empty\nGive a file with some.")


def published_preferences() -> Iterator[Judged]:
    """The preferences of the corpus `instructions` (Raschka 2024), equal answers left out."""
    for number, entry in enumerate(json.loads(PREFERENCES.read()), start=1):
        record = Record(fields=entry, place=f"{PREFERENCES.path}, entry {number}")
        if entry["chosen"].strip() != entry["rejected"].strip():
            yield _judged(record, rater="instructions")


def write_preferences(judged: Sequence[Judged], path: Path, *, form: Form) -> int:
    """Writes judgements for another program, and counts the records.

    TRL and Label Studio's pairs get what is learned from; CSV gets every judgement.

    Raises:
        DataError: there is nothing to write, or nothing that TRL could learn from.
    """
    if not judged:
        raise DataError("there are no judgements to export; make some: cutaway label MODEL")
    match form:
        case "trl":
            rows = [json.dumps(each, ensure_ascii=False) for each in _trl(judged)]
            text = "".join(row + "\n" for row in rows)
        case "label-studio":
            tasks = [_label_studio(each) for each in judged if len(each.comparison.answers) == 2]
            rows = [""] * len(tasks)
            text = json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"
        case "csv":
            rows = [""] * len(judged)
            text = _csv(judged)
    write_file(path, text.encode())
    return len(rows)


def escaped(value: str) -> str:
    """A cell that no spreadsheet takes for a formula (CWE-1236)."""
    return f"'{value}" if value.startswith(_FORMULAS) else value


def _judged(record: Record, *, rater: str) -> Judged:
    fields = record.fields
    if "data" in fields and "annotations" in fields:
        prompt, chosen, rejected = _from_label_studio(record)
    elif "chosen" in fields and "rejected" in fields:
        prompt, chosen, rejected = _from_trl(record)
    else:
        raise DataError(
            f"{record.place}: no preference; there is {listed(fields)}\n"
            'Give "prompt", "chosen" and "rejected", or tasks of Label Studio.'
        )
    if chosen.strip() == rejected.strip():
        raise DataError(f"{record.place}: chosen and rejected are the same\nLeave the line out.")
    if not prompt or not prompt[-1].content.strip():
        raise DataError(f"{record.place}: the prompt is empty\nSay what was asked.")
    answers = (Answer(text=chosen, model=rater), Answer(text=rejected, model=rater))
    comparison = Comparison(prompt=prompt, answers=answers)
    # A file does not say how the answers stood: in the order of their keys, which is random.
    shown = tuple(sorted(comparison.answer_keys))
    judgement = Judgement(
        comparison=comparison.key,
        rater=rater,
        judge="file",
        verdict="a" if shown[0] == comparison.answer_keys[0] else "b",
        shown=shown,
    )
    return Judged(judgement=judgement, comparison=comparison)


def _from_trl(record: Record) -> tuple[tuple[Message, ...], str, str]:
    fields = record.fields
    if "instruction" in fields:
        asked = record.text("instruction")
        if fields.get("input"):
            asked += "\n\n" + record.text("input")
        prompt: tuple[Message, ...] = (Message(role="user", content=asked),)
        return prompt, record.text("chosen"), record.text("rejected")
    before: list[Message] = []
    if "prompt" in fields:
        before = _messages(record, "prompt")
    chosen = _messages(record, "chosen", role="assistant")
    rejected = _messages(record, "rejected", role="assistant")
    if "prompt" not in fields:
        while len(chosen) > 1 and len(rejected) > 1 and chosen[0] == rejected[0]:
            before.append(chosen.pop(0))
            rejected.pop(0)
    if len(chosen) != 1 or len(rejected) != 1:
        raise DataError(
            f"{record.place}: chosen and rejected are more than one answer each\n"
            "Give the messages that both begin with as the prompt."
        )
    return tuple(before), chosen[0].content, rejected[0].content


def _messages(record: Record, name: str, *, role: str = "user") -> list[Message]:
    value = record.fields[name]
    if isinstance(value, str):
        return [Message(role=role, content=record.text(name))]  # type: ignore[arg-type]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(f'{record.place}: "{name}" is neither a text nor a list of messages')
    found = []
    for number, item in enumerate(value):
        who = record.text("role", within=item, path=f"{name}[{number}]")
        if who not in _ROLES:
            raise DataError(
                f'{record.place}: "{name}[{number}].role" is "{who[:40]}"\n'
                f"Give one of {', '.join(_ROLES)}."
            )
        said = record.text("content", within=item, path=f"{name}[{number}]")
        found.append(Message(role=who, content=said))  # type: ignore[arg-type]
    return found


def _from_label_studio(record: Record) -> tuple[tuple[Message, ...], str, str]:
    """A task of Label Studio's pairwise template: `left` or `right` was selected."""
    try:
        data = record.fields["data"]
        result = record.fields["annotations"][0]["result"][0]["value"]
        side = result["selected"]
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{record.place}: the task has no annotation that selects left or right\n"
            "Export annotated tasks of the pairwise template, as JSON."
        ) from error
    if side not in ("left", "right") or not isinstance(data, dict):
        raise DataError(f'{record.place}: "selected" is {str(side)[:40]!r}, not left or right')
    texts = {name: record.text(name, within=data, path="data") for name in ("left", "right")}
    asked = record.text("prompt", within=data, path="data")
    other = "right" if side == "left" else "left"
    return (Message(role="user", content=asked),), texts[side], texts[other]


def _trl(judged: Iterable[Judged]) -> Iterator[dict[str, Any]]:
    def said(messages: Iterable[Message]) -> list[dict[str, str]]:
        return [{"role": each.role, "content": each.content} for each in messages]

    for pair in pairs(judged):
        yield {
            "prompt": said(pair.prompt),
            "chosen": said([Message(role="assistant", content=pair.chosen.text)]),
            "rejected": said([Message(role="assistant", content=pair.rejected.text)]),
        }


def _label_studio(judged: Judged) -> dict[str, Any]:
    """A task with its annotation, in the form of the pairwise template."""
    judgement, comparison = judged.judgement, judged.comparison
    left, right = (comparison.answer(key).text for key in judgement.shown)
    sides = {"a": "left", "b": "right"}
    result = [
        {
            "from_name": "comparison",
            "to_name": "comparison",
            "type": "pairwise",
            "value": {"selected": sides[judgement.verdict]},
        }
    ]
    return {
        "data": {"prompt": _told(comparison.prompt), "left": left, "right": right},
        "annotations": [
            {
                "result": result if judgement.verdict in sides else [],
                "was_cancelled": judgement.verdict == "skip",
                "lead_time": judgement.milliseconds / 1000,
                "created_at": judgement.time.isoformat(),
                "created_username": judgement.rater,
            }
        ],
    }


def _csv(judged: Sequence[Judged]) -> str:
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    for each in judged:
        judgement, comparison = each.judgement, each.comparison
        texts = [comparison.answer(key).text for key in judgement.shown]
        places = " > ".join(str(judgement.shown.index(key) + 1) for key in judgement.order)
        cells = (
            *(judgement.number or "", judgement.time.isoformat(), judgement.rater),
            *(judgement.judge, judgement.verdict, judgement.better, ", ".join(judgement.reasons)),
            *(judgement.showing, judgement.milliseconds / 1000, _told(comparison.prompt)),
            *(*texts, "", "", "")[:4],
            places,
        )
        rows.writerow([escaped(str(cell)) for cell in cells])
    return written.getvalue()


def _told(prompt: Sequence[Message]) -> str:
    """The prompt as one text: the question, or all messages where there are several."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in prompt)
