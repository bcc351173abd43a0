"""`cutaway evaluate` for a model that learned verses: it writes new ones, which are counted."""

from typing import TYPE_CHECKING

from cutaway.stages.judging import show_task

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.evaluation.subject import Subject
    from cutaway.evaluation.verses import VerseScores
    from cutaway.stages.evaluate import Config

POEMS = 100
"""Poems of each form, where no number is given."""


def write_poems(config: "Config", name: str, subject: "Subject") -> "VerseScores":
    """Has poems written in the forms of a corpus of verses, and counts what they are like."""
    from cutaway.evaluation.verses import judge_verses
    from cutaway.text.corpora import VerseCorpus, corpus

    found = corpus(name, VerseCorpus)
    return judge_verses(subject, found, poems=config.items or POEMS, seed=config.seed)


def poems_of_run(
    config: "Config", name: str | None, subject: "Subject", *, console: "Console"
) -> "VerseScores | None":
    """Judges and shows the poems of a run whose main text is verses; None where it is not."""
    from cutaway.evaluation.verses import verse_task
    from cutaway.text.corpora import CORPORA, VerseCorpus

    if name is None or not isinstance(CORPORA.get(name), VerseCorpus):
        return None
    found = write_poems(config, name, subject)
    show_task(verse_task(found), data=name, console=console)
    told = f"{found.num_memorised:,} of {found.num_lines:,} lines stand in the training text"
    console.say(f"{told} (of held-out poems {found.held_out_memorised.value:.1%})")
    return found
