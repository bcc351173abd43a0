"""Mistakes with judgements and rewards: each is named, ends in time, and the run is kept."""

import sqlite3
import sys
import time
from pathlib import Path

import pytest

from cutaway import cli
from cutaway.alignment.judgements import Judgement
from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from tests.alignment.conftest import compared
from tests.mistakes.conftest import QUICK, Tell

ALIGN = (
    "align talker prompts=prompts.txt max_tokens=4 held_out=2 trials=2 steps=2 "
    "ppo.answers=6 ppo.minibatch=6 manner.threads=1"
)


@pytest.fixture
def place(tell: Tell, tmp_path: Path) -> Tell:
    """The same, with a model that answers and prompts for it."""
    assert tell(f"finetune toy data=chats.jsonl run=talker {QUICK}").code == 0
    (tmp_path / "prompts.txt").write_text("".join(f"Who {n}?\n" for n in range(200)))
    return tell


WORDS = {
    "label": "give the MODEL whose answers are judged",
    "label nowhere": "there is no MODEL at nowhere",
    "label toy judge=rule prompts=open": "prompts=open has none",
    "label toy answers=5": "answers=5 is out of range; give 2 to 4",
    "label toy judge=simulated flipped=0.5": "flipped=0.5 is out of range",
    "label toy temperature=0": "answers that are compared must differ",
    "label toy judge=file data=nowhere.jsonl": "nowhere.jsonl",
    "reward toy": "data",
    "reward toy data=nowhere": "cutaway label RUN",
    "align toy": "method=ppo needs a reward",
    "align toy reward=taste": "has not learned to answer",
    "align toy reward=taste data=chats.jsonl": "only dpo learns from judgements",
    "align toy method=dpo": "method=dpo can learn from judgements instead",
    "align toy reward=taste steps=2 minutes=1": "a run has one length",
    "align toy reward=taste grpo.answers=1": "a group of one has nothing to be compared with",
    "align toy method=dpo reward=taste dpo.flipped=0.5": "flipped=0.5",
}


@pytest.mark.parametrize("command", WORDS)
def test_a_mistake_is_told_in_words_that_say_the_way_out(command: str, tell: Tell) -> None:
    told = tell(command)
    assert told.code in (2, 3, 4)
    assert WORDS[command] in told.errors


def test_a_store_without_judgements_says_how_to_make_some(place: Tell) -> None:
    PreferenceStore(url_of_file(Path("talker/cutaway.db"))).close()
    assert "there are no judgements to learn from" in place("reward talker data=talker").errors


def test_judgements_that_prefer_nothing_are_one_sided(place: Tell) -> None:
    store = PreferenceStore(url_of_file(Path("talker/cutaway.db")))
    item = compared("Who 1?", "I.", "You.")
    store.add([item])
    shown = item.answer_keys
    store.record(
        Judgement(
            comparison=item.key, rater="Ruth", judge="person", verdict="both_bad", shown=shown
        )
    )
    store.close()
    told = place("align talker method=dpo data=talker prompts=prompts.txt max_tokens=4")
    assert "the judgements are one-sided: 1 x both_bad" in told.errors


def test_a_judgement_of_an_answer_that_is_gone_is_named(place: Tell) -> None:
    store = PreferenceStore(url_of_file(Path("talker/cutaway.db")))
    item = compared("Who 1?", "I.", "You.")
    store.add([item])
    shown = item.answer_keys
    store.record(
        Judgement(comparison=item.key, rater="Ruth", judge="person", verdict="a", shown=shown)
    )
    store.close()
    with sqlite3.connect("talker/cutaway.db") as connection:
        connection.execute("DELETE FROM answers WHERE text = 'I.'")
    connection.close()
    told = place("reward talker data=talker")
    assert told.code == 3
    assert "gone" in told.errors


REWARDS = {
    "raises": ("raise ValueError", "the program ended with code 1"),
    "gives no number": ("print('good', flush=True)", "gave 'good', which is no number"),
    "gives NaN": ("print('nan', flush=True)", "gave nan, which is not finite"),
    "hangs": ("import time; time.sleep(60)", "gave no number in 0.3 s"),
}


@pytest.mark.parametrize("what", REWARDS)
def test_a_reward_that_fails_is_named_in_time_and_the_run_is_kept(
    what: str, place: Tell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    does, words = REWARDS[what]
    program = tmp_path / "score"
    program.write_text(f"#!{sys.executable}\nimport sys\nfor line in sys.stdin:\n    {does}\n")
    program.chmod(0o755)
    begin = time.monotonic()
    command = f"{ALIGN} run=kept reward=program:./score reward_seconds=0.3"
    capsys.readouterr()
    code = cli.main(command.split())
    errors = capsys.readouterr().err
    assert code == 3
    assert words in errors
    assert "Traceback" not in errors
    assert time.monotonic() - begin < 20
    good = "for line in sys.stdin:\n    print(len(line), flush=True)\n"
    program.write_text(f"#!{sys.executable}\nimport sys\n{good}")
    assert cli.main(command.split()) == 0  # the same command goes on


def test_a_reward_that_is_not_there_or_no_reward_is_told(place: Tell) -> None:
    for given, words in (
        ("nowhere", "nowhere"),
        ("talker", "a model without a reward head"),
        ("program:./nowhere", "cannot be run"),
        ("rule", "rule scores the questions of skills"),
    ):
        assert words in place(f"{ALIGN} run=none reward={given}").errors
