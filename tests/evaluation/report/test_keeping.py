"""A card that was kept is the same card again."""

import pytest

from cutaway.errors import DataError
from cutaway.evaluation.report.keeping import FILE_NAME, keep, kept


def test_a_kept_card_comes_back_as_it_was(card, tmp_path):
    keep(card, tmp_path)
    assert kept(tmp_path) == card


def test_a_folder_without_a_card_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="evaluate the run first"):
        kept(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"title": 3}', "[]"])
def test_a_damaged_card_is_an_error_of_the_data(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(DataError, match="evaluate the run again"):
        kept(tmp_path)
