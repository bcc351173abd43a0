"""A run's settings tell where its model came from and what it was taught."""

from cutaway.evaluation.lineage import lineage, run_of

BASE = """
[[mixture]]
source = "basic-english"
share = 0.7

[[mixture]]
source = "skill:dates"
share = 0.3
"""

TUNED = """
model = "{base}"

[[mixture]]
source = "skill:names"
form = "chat"

[[mixture]]
source = "basic-english"
"""


def write(folder, text):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)
    return folder


def test_the_runs_come_from_first_to_last(tmp_path):
    base = write(tmp_path / "base", BASE)
    tuned = write(tmp_path / "tuned", TUNED.format(base=base))
    first, last = lineage(tuned)
    assert (first.folder, first.texts, first.skills) == (base, ("basic-english",), ("dates",))
    assert (last.folder, last.texts, last.skills) == (tuned, ("basic-english",), ("names",))


def test_a_given_base_takes_the_place_of_the_one_in_the_settings(tmp_path):
    tuned = write(tmp_path / "tuned", TUNED.format(base="elsewhere"))
    base = write(tmp_path / "base", BASE)
    assert [one.folder for one in lineage(tuned, base=base)] == [base, tuned]


def test_a_base_that_is_gone_is_left_out(tmp_path):
    tuned = write(tmp_path / "tuned", TUNED.format(base=tmp_path / "gone"))
    assert [one.folder for one in lineage(tuned)] == [tuned]


def test_runs_in_a_circle_end(tmp_path):
    folder = write(tmp_path / "a", f'model = "{tmp_path / "a"}"\ndata = "x.jsonl"\n')
    assert len(lineage(folder)) == 8


def test_one_source_is_text_in_pretraining_and_conversations_in_finetuning(tmp_path):
    base = write(tmp_path / "base", 'data = "my_folder"\n')
    tuned = write(tmp_path / "tuned", f'model = "{base}"\ndata = "mine.jsonl"\n')
    assert [one.texts for one in lineage(tuned)] == [("my_folder",), ()]


def test_a_checkpoint_belongs_to_its_run(tmp_path):
    base = write(tmp_path / "base", BASE)
    assert run_of(base / "checkpoints" / "step-00000001") == base
    assert run_of(base / "checkpoints") == base
    [one] = lineage(base / "checkpoints" / "step-00000001")
    assert one.folder == base


def test_a_folder_without_settings_or_with_broken_ones_has_no_lineage(tmp_path):
    assert lineage(tmp_path) == []
    assert lineage(write(tmp_path / "broken", "a = [")) == []
