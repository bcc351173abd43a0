"""Poems are counted clause by clause and line by line, against closed counts."""

from collections.abc import Collection, Iterator, Sequence

import pytest

from cutaway.evaluation.report.card import ReportCard, as_json
from cutaway.evaluation.report.keeping import keep, kept
from cutaway.evaluation.report.verse_sections import verses_section
from cutaway.evaluation.subject import Subject
from cutaway.evaluation.verses import judge_verses, poem_of, verse_task
from cutaway.inference.generate import Completion
from cutaway.inference.sampling import Sampler
from cutaway.models.catalog import build
from cutaway.text.corpora import VerseCorpus
from cutaway.text.documents import Document, Split
from cutaway.tokenizer.characters import CharacterTokenizer, train

KNOWN = "秦川雄帝宅，函谷壯皇居。"
NEW = "綺殿千尋起，離宮百雉餘。"
LONG = "白日依山盡未歸，黃河入海流不回。"


def documents(split: Split) -> Iterator[Document]:
    text = f"five\n{KNOWN}" if split == "train" else f"five\n{NEW}\n{KNOWN}"
    yield Document(text=text, key=text)


CORPUS = VerseCorpus(
    name="verses",
    description="two poems",
    source="this file",
    licence="none needed",
    held_out="one of the two",
    size=None,
    sha256=None,
    read=documents,
)
WRITTEN = (f"\n{KNOWN}\n{NEW}", "", f"\n{LONG}", f"\n{LONG}\n黃河")


class Scripted:
    """An engine that writes given texts one after the other; the last one is cut."""

    def __init__(self, tokenizer: CharacterTokenizer) -> None:
        self._tokenizer = tokenizer
        self.prompts: list[str] = []

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        sampler: Sampler,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int] | None = None,
        stop_ids: Collection[int] | None = None,
    ) -> list[Completion]:
        self.prompts = [self._tokenizer.decode(prompt) for prompt in prompts]
        end = self._tokenizer.begin_id
        found = []
        for place, text in enumerate(WRITTEN):
            ids = self._tokenizer.encode(text)
            is_cut = place == len(WRITTEN) - 1
            found.append(
                Completion(
                    ids=ids if is_cut else [*ids, end],
                    logprobs=[0.0] * (len(ids) + (not is_cut)),
                    finish_reason="length" if is_cut else "stop",
                )
            )
        return found


@pytest.fixture
def subject() -> Subject:
    tokenizer = train([KNOWN, NEW, LONG, "five seven\n"])
    sizes = {"vocab_size": tokenizer.vocab_size, "context_length": 64, "width": 16}
    model = build({"architecture": "gpt", "num_layers": 1, "num_heads": 2, **sizes})
    return Subject(
        stage="base",
        model=model,
        tokenizer=tokenizer,
        engine=Scripted(tokenizer),
        can_chat=False,
    )


def test_clauses_and_memorised_lines_are_counted(subject: Subject) -> None:
    found = judge_verses(subject, CORPUS, poems=2, seed=0)
    assert subject.engine.prompts == ["five", "five", "seven", "seven"]  # type: ignore[attr-defined]
    # Four clauses of five, an empty poem, which counts as one out of form, and four of seven;
    # of the poem that was cut only the whole line is read.
    assert found.num_clauses == 8
    assert found.in_form.value == pytest.approx(8 / 9)
    assert found.forms["five"].value == pytest.approx(4 / 5)
    assert found.forms["seven"].value == 1.0
    assert (found.num_lines, found.num_memorised, found.num_unfinished) == (4, 1, 1)
    assert found.memorised.value == pytest.approx(1 / 4)
    assert found.held_out_memorised.value == pytest.approx(1 / 2)
    assert found.poems[0].memorised == (KNOWN,)
    told = verse_task(found)
    assert [one.name for one in told.measurements] == ["clauses_in_form", "memorised_lines"]
    assert told.measurements[1].chance == pytest.approx(1 / 2)


def test_what_is_written_in_another_form_or_alphabet_does_not_count() -> None:
    assert poem_of(LONG, form="five", known=()).num_in_form == 0
    assert poem_of("five\n" + NEW, form="five", known=()).num_in_form == 2
    assert poem_of("five\n" + NEW, form="five", known=()).num_clauses == 3


def test_a_report_of_poems_shows_them_and_says_the_same_when_read_again(
    subject: Subject, tmp_path
) -> None:
    found = judge_verses(subject, CORPUS, poems=2, seed=0)
    page = verses_section(found)
    for words in ("88.9%", "lines memorised: 1", KNOWN, "4 of 4 clauses", "(nothing)"):
        assert words in page
    card = ReportCard(title="x", verses=found)
    keep(card, tmp_path)
    assert as_json(kept(tmp_path)) == as_json(card)
