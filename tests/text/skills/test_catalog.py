"""Laws of every skill: seeded, split, and scored by its own rule."""

import hashlib
import json
import re
import subprocess
import sys
from itertools import islice

import pytest

from cutaway.text.skills.base import Example, Skill, last_line, question, reference
from cutaway.text.skills.catalog import SKILLS
from cutaway.text.skills.words import words_of

COUNT = 400
ABOUT_WORDS = ("spelling", "correcting", "counting", "reversing", "pronunciation", "rhymes")
ABOUT_PAIRS = ("addition", "subtraction")
ALL = pytest.mark.parametrize("skill", SKILLS.values(), ids=SKILLS.keys())


def test_the_skills_are_the_twelve_of_the_report() -> None:
    wanted = "dates spelling correcting counting reversing addition subtraction pronunciation"
    wanted += " rhymes names identity system_prompt"
    assert " ".join(SKILLS) == wanted


@ALL
def test_training_and_validation_share_no_key(skill: Skill) -> None:
    train = {one.key for one in skill.examples("train", seed=0, count=5 * COUNT)}
    validation = {one.key for one in skill.examples("validation", seed=0, count=5 * COUNT)}
    assert train.isdisjoint(validation)


@ALL
def test_training_and_validation_share_no_question(skill: Skill) -> None:
    train, validation = (
        {
            tuple(one.conversation.messages[:-1])
            for one in skill.examples(split, seed=0, count=COUNT)
        }
        for split in ("train", "validation")
    )
    assert train.isdisjoint(validation)


def test_a_held_out_word_is_in_no_training_example_of_any_skill() -> None:
    held_out = set(words_of("validation"))
    for name in ABOUT_WORDS:
        for example in SKILLS[name].examples("train", seed=1, count=COUNT):
            assert example.key not in held_out
            assert last_line(reference(example)) not in held_out


def test_a_system_prompt_trains_on_no_held_out_word() -> None:
    held_out = set(words_of("validation"))
    for example in SKILLS["system_prompt"].examples("train", seed=1, count=COUNT):
        given = re.findall(r"^(?:The word is )?(\w+)\.?$", question(example))
        assert held_out.isdisjoint(given)


def test_addition_and_subtraction_hold_out_the_same_pairs() -> None:
    keys = {
        (name, split): {one.key for one in SKILLS[name].examples(split, seed=2, count=5 * COUNT)}
        for name in ABOUT_PAIRS
        for split in ("train", "validation")
    }
    assert keys["addition", "train"].isdisjoint(keys["subtraction", "validation"])
    assert keys["subtraction", "train"].isdisjoint(keys["addition", "validation"])


@ALL
def test_the_reference_is_right_and_the_baseline_is_mostly_wrong(skill: Skill) -> None:
    examples = list(skill.examples("validation", seed=3, count=COUNT))
    assert sum(skill.score(one, reference(one)).errors for one in examples) == 0
    trivial = [skill.score(one, skill.baseline(one)) for one in examples]
    assert sum(one.errors for one in trivial) > 0.3 * sum(one.length for one in trivial)


@ALL
@pytest.mark.parametrize("answer", ["", " ", "\n\n", "no", "�", "a\nb\nc"])
def test_any_text_can_be_scored_and_nonsense_is_wrong(skill: Skill, answer: str) -> None:
    (example,) = skill.examples("validation", seed=4, count=1)
    assert skill.score(example, answer).errors > 0


@ALL
def test_exact_scores_are_one_item_long(skill: Skill) -> None:
    if skill.metric == "exact":
        (example,) = skill.examples("train", seed=5, count=1)
        assert skill.score(example, reference(example)).length == 1


@ALL
def test_the_same_seed_gives_the_same_examples_and_another_seed_others(skill: Skill) -> None:
    first = list(skill.examples("train", seed=6, count=50))
    assert first == list(skill.examples("train", seed=6, count=50))
    assert first != list(skill.examples("train", seed=7, count=50))


@ALL
def test_fewer_examples_are_the_beginning_of_more(skill: Skill) -> None:
    more = list(islice(skill.examples("train", seed=8, count=50), 10))
    assert more == list(skill.examples("train", seed=8, count=10))


@ALL
def test_an_example_ends_in_a_question_and_its_answer(skill: Skill) -> None:
    for example in skill.examples("train", seed=9, count=COUNT):
        roles = [message.role for message in example.conversation.messages]
        assert roles in (["user", "assistant"], ["system", "user", "assistant"])
        for message in example.conversation.messages:
            assert message.content == message.content.strip() != ""
            assert "{" not in message.content


@ALL
def test_plain_text_is_the_question_and_the_answer(skill: Skill) -> None:
    (example,) = skill.examples("train", seed=10, count=1)
    plain = skill.plain(example)
    assert question(example) in plain.prompt
    assert plain.prompt.endswith("Answer:")
    assert plain.answer.strip() == reference(example)


def test_validation_asks_every_item_before_any_twice() -> None:
    count = len(words_of("validation"))
    keys = [one.key for one in SKILLS["spelling"].examples("validation", seed=0, count=count)]
    assert sorted(keys) == sorted(words_of("validation"))


def _fingerprint(examples: list[Example]) -> str:
    texts = [[message.content for message in one.conversation.messages] for one in examples]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def test_another_process_makes_the_same_examples() -> None:
    code = (
        "from cutaway.text.skills.catalog import SKILLS\n"
        "import hashlib, json\n"
        "texts = [[m.content for m in one.conversation.messages]\n"
        "         for s in SKILLS.values() for one in s.examples('train', seed=0, count=20)]\n"
        "print(hashlib.sha256(json.dumps(texts).encode()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [one for skill in SKILLS.values() for one in skill.examples("train", seed=0, count=20)]
    assert run.stdout.strip() == _fingerprint(here)
