"""Judges that are no people say what they are meant to, as often as they are meant to."""

import random

import pytest

from cutaway.alignment.judgements import Answer, Comparison
from cutaway.alignment.judges import Rule, SimulatedPerson, compare_with_truth
from cutaway.alignment.open_questions import open_prompts, things, wordings
from cutaway.alignment.prompts import known_answers, prompts_from
from cutaway.alignment.taste import FEATURES, true_reward
from cutaway.errors import ConfigError, DataError
from cutaway.text.conversations import Message
from tests.alignment.conftest import compared

GOOD = "The rainbow is a sign in the sky, and I like it much."
BAD = "r a i n b o w\nR EY N B OW of the"


def questions(count: int, *answers: str) -> list[Comparison]:
    return [compared(f"Tell me about rainbow {number}.", *answers) for number in range(count)]


def test_the_taste_looks_at_four_features_or_more_and_each_can_be_overdone():
    prompt = (Message(role="user", content="Tell me about the rainbow."),)
    assert len(FEATURES) >= 4
    assert true_reward(prompt, GOOD) > true_reward(prompt, BAD) + 0.3
    for overdone in (
        GOOD + " The rainbow is." * 12,
        GOOD.replace("rainbow", "sky"),
        "Rainbow.",
        "",
    ):
        assert true_reward(prompt, overdone) < true_reward(prompt, GOOD)


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_lies_between_nothing_and_everything(name: str):
    _, feature = FEATURES[name]
    randomness = random.Random(0)
    for _ in range(200):
        text = "".join(randomness.choice("ab 1\nAB.+=é") for _ in range(randomness.randrange(90)))
        assert 0.0 <= feature("Tell me about abab.", text) <= 1.0


def test_the_simulated_person_errs_in_a_fifth_to_a_quarter_of_its_judgements():
    person = SimulatedPerson()
    items = questions(2000, GOOD, BAD)
    chosen = [item.answer(person.judge(item).order[0]).text for item in items]
    assert 0.20 <= chosen.count(BAD) / 2000 <= 0.25


def test_the_simulated_person_always_says_the_same_and_prefers_no_place():
    person = SimulatedPerson()
    items = questions(600, GOOD, BAD)
    verdicts = [person.judge(item).verdict for item in items]
    assert verdicts == [SimulatedPerson().judge(item).verdict for item in items]
    assert 0.44 < verdicts.count("a") / 600 < 0.56


def test_answers_of_like_worth_are_a_tie():
    item = compared("Tell me about cats.", "The cats are good.", "The cats are grey.")
    assert SimulatedPerson().judge(item).verdict == "tie"


def test_without_error_a_ranking_is_that_of_the_taste():
    answers = (BAD, GOOD, "The rainbow is", "It is good and plain to see.")
    item = compared("Tell me about the rainbow.", *answers)
    order = [item.answer(key).text for key in SimulatedPerson(flipped=0.0).judge(item).order]
    assert order == sorted(answers, key=lambda text: -true_reward(item.prompt, text))


def test_a_person_who_errs_in_half_of_all_has_no_taste():
    with pytest.raises(ConfigError, match=r"flipped=0.5 is out of range"):
        SimulatedPerson(flipped=0.5)


def test_the_truth_is_held_beside_what_length_alone_reaches():
    prompt = (Message(role="user", content="Tell me about the rainbow."),)
    long, short = BAD + " and" * 70, GOOD
    rows = [(prompt, Answer(text=short), Answer(text=long))] * 3
    rows += [(prompt, Answer(text=long), Answer(text=short))]
    truth = compare_with_truth(rows)
    assert (truth.decided, truth.agreement, truth.length) == (4, 0.75, 1.0)
    assert compare_with_truth([]).decided == 0


def test_the_rule_prefers_what_the_skill_counts_as_right():
    asked = prompts_from("skills", count=24, seed=3)
    rule = Rule(known_answers(asked))
    for each in asked:
        assert each.example is not None
        right = each.example.conversation.messages[-1].content
        item = Comparison(
            prompt=each.prompt, answers=(Answer(text="certainly wrong"), Answer(text=right))
        )
        assert item.answer(rule.judge(item).order[0]).text == right


def test_the_rule_says_tie_both_bad_and_skip_where_nothing_is_better():
    (asked,) = prompts_from("skills", count=1, seed=3)
    assert asked.example is not None
    right = asked.example.conversation.messages[-1].content
    rule = Rule(known_answers([asked]))

    def verdict(*answers: str) -> str:
        items = tuple(Answer(text=text, seed=seed) for seed, text in enumerate(answers))
        return rule.judge(Comparison(prompt=asked.prompt, answers=items)).verdict

    assert verdict(right, right) == "tie"
    assert verdict("wrong", "wrong too") == "both_bad"
    assert verdict(right, "wrong", "wrong too") == "skip"
    assert rule.judge(compared("Who knows?", "I", "you")).verdict == "skip"


@pytest.mark.parametrize("source", ["skills", "open"])
def test_prompts_are_different_and_drawn_by_the_seed(source: str):
    first = prompts_from(source, count=40, seed=1)
    assert len({each.prompt for each in first}) == 40
    assert first == prompts_from(source, count=40, seed=1)
    assert first != prompts_from(source, count=40, seed=2)


def test_open_questions_are_held_out_by_what_they_ask_about():
    assert not set(things("train")) & set(things("validation"))
    held_out = list(open_prompts("validation", count=10_000, seed=0))
    assert len(held_out) == len(things("validation")) * len(wordings("validation"))
    assert not set(held_out) & set(open_prompts("train", count=10_000, seed=0))
    assert set(wordings("train")) < set(wordings("validation"))


def test_prompts_of_a_file_are_its_lines_or_its_conversations(tmp_path):
    (tmp_path / "a.txt").write_text("Who are you?\n\n  你好 \nWho are you?\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"prompt": "2 + 2", "completion": "4"}\n')
    assert [
        each.prompt[0].content for each in prompts_from(f"{tmp_path}/a.txt", count=9, seed=0)
    ] == [
        "Who are you?",
        "你好",
    ]
    assert prompts_from(f"{tmp_path}/b.jsonl", count=9, seed=0)[0].prompt[0].content == "2 + 2"
    (tmp_path / "c.txt").write_text("\n\n")
    for name, told in (("c.txt", "holds no prompts"), ("d.txt", "there is no such file")):
        with pytest.raises(DataError, match=told):
            prompts_from(f"{tmp_path}/{name}", count=9, seed=0)
