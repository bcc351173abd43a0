"""A reward that raises, hangs or gives no number is named, counted, and ends the run in time."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cutaway.alignment.rewards import (
    Exchange,
    Failed,
    FunctionReward,
    ProgramReward,
    RuleReward,
    Scorer,
    TasteReward,
)
from cutaway.errors import DataError, UsageError
from cutaway.text.conversations import Message
from cutaway.text.skills.catalog import SKILLS
from tests.alignment.toys import Always, asked

ONE = Exchange(prompt=asked("What is 1 + 1?"), answer="2")


def test_a_function_gets_two_texts_and_gives_a_number() -> None:
    system = Message(role="system", content="Be short.")
    exchange = Exchange(prompt=(system, *asked("Who?")), answer="I.")
    seen: list[tuple[str, str]] = []

    def reward(prompt: str, answer: str) -> float:
        seen.append((prompt, answer))
        return 0.5

    assert FunctionReward(reward).rewards([exchange]) == [0.5]
    assert seen == [("Be short.\n\nWho?", "I.")]


@pytest.mark.parametrize(
    ("gives", "why"),
    [
        (math.nan, "gave nan, which is not finite"),
        (math.inf, "gave inf, which is not finite"),
        (None, "gave 'None', which is no number"),
        ("good", "gave 'good', which is no number"),
    ],
)
def test_what_is_no_finite_number_is_a_failure_with_a_name(gives: Any, why: str) -> None:
    assert FunctionReward(lambda prompt, answer: gives).rewards([ONE]) == [Failed(why=why)]


def test_a_function_that_raises_is_a_failure_with_a_name() -> None:
    def reward(prompt: str, answer: str) -> float:
        raise KeyError("colour")

    assert FunctionReward(reward).rewards([ONE]) == [Failed(why="raised KeyError: 'colour'")]


def test_a_function_that_hangs_is_left_behind_and_the_next_call_works() -> None:
    def reward(prompt: str, answer: str) -> float:
        if answer == "slow":
            time.sleep(60)
        return 1.0

    slow = Exchange(prompt=ONE.prompt, answer="slow")
    begin = time.monotonic()
    found = FunctionReward(reward, seconds=0.05).rewards([slow, ONE])
    assert found == [Failed(why="gave no number in 0.05 s"), 1.0]
    assert time.monotonic() - begin < 5


def program(folder: Path, text: str) -> list[str]:
    path = folder / "score.py"
    path.write_text(text)
    return [sys.executable, str(path)]


READING = "import json, sys, time\nfor line in sys.stdin:\n    told = json.loads(line)\n"


def test_a_program_scores_line_by_line(tmp_path: Path) -> None:
    text = READING + "    print(len(told['answer']), flush=True)\n"
    reward = ProgramReward(program(tmp_path, text))
    found = reward.rewards([ONE, Exchange(prompt=ONE.prompt, answer="four")])
    reward.close()
    assert found == [1.0, 4.0]


def test_a_program_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    text = READING + "    if told['answer'] == 'slow': time.sleep(60)\n    print(1, flush=True)\n"
    reward = ProgramReward(program(tmp_path, text), seconds=2.0)
    found = reward.rewards([Exchange(prompt=ONE.prompt, answer="slow"), ONE])
    reward.close()
    assert found == [Failed(why="gave no number in 2 s"), 1.0]


def test_a_program_that_ends_is_named_with_its_code(tmp_path: Path) -> None:
    reward = ProgramReward(program(tmp_path, READING + "    sys.exit(3)\n"))
    assert reward.rewards([ONE]) == [Failed(why="the program ended with code 3")]


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        ProgramReward(["/nowhere/score"]).rewards([ONE])


def test_the_rule_of_a_skill_pays_for_right_answers_only() -> None:
    skill = SKILLS["addition"]
    example = next(skill.examples("train", seed=0, count=1))
    prompt = example.conversation.messages[:-1]
    right = example.conversation.messages[-1].content
    reward = RuleReward({prompt: (skill, example)})
    exchanges = [Exchange(prompt=prompt, answer=right), Exchange(prompt=prompt, answer="no"), ONE]
    assert reward.rewards(exchanges) == [1.0, 0.0, Failed(why="no skill asked this question")]


def test_the_taste_is_the_one_of_the_simulated_person() -> None:
    from cutaway.alignment.taste import true_reward

    assert TasteReward().rewards([ONE]) == [true_reward(ONE.prompt, ONE.answer)]


def test_few_failures_are_left_out_and_counted() -> None:
    scorer = Scorer(Always([1.0, Failed(why="is ill"), 2.0]))
    scores = scorer.score([ONE] * 3)
    assert scores.values == (1.0, 0.0, 2.0)
    assert scores.is_scored == (True, False, True)
    assert (scorer.scored, scorer.failed) == (3, 1)


def test_more_failures_than_may_be_end_the_run_with_their_name() -> None:
    scorer = Scorer(Always([Failed(why="is ill")]), most_failing=0.01)
    with pytest.raises(DataError, match=r"failed for 4 of 4 answers; 4 times: is ill"):
        scorer.score([ONE] * 10)


def test_a_hundredth_of_many_may_fail() -> None:
    scorer = Scorer(Always([1.0] * 199 + [Failed(why="is ill")]))
    for _ in range(10):
        scorer.score([ONE] * 200)
    assert scorer.failed == 10
