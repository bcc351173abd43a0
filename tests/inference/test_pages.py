"""Large pages: what lies in them stays what it was, wherever it lies."""

import gc

import pytest
import torch

from cutaway.inference.pages import AT_ONCE, LINE, PAGE, Pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_a_tensor_in_pages_is_the_same_and_begins_at_a_line(dtype: torch.dtype):
    pages, given = Pages(), torch.arange(-60, 60).to(dtype).view(8, 15)
    for _ in range(3):
        placed = pages.place(given)
        assert torch.equal(placed, given)
        assert placed.data_ptr() % LINE == 0


def test_pages_begin_where_a_large_page_begins():
    assert Pages().place(torch.ones(5)).data_ptr() % PAGE == 0


def test_a_tensor_larger_than_what_is_asked_for_at_once_has_its_place():
    given = torch.arange(AT_ONCE + 3, dtype=torch.uint8)
    assert torch.equal(Pages().place(given), given)


def test_a_tensor_lives_longer_than_its_pages():
    pages = Pages()
    placed = [pages.place(torch.full((1000,), float(number))) for number in range(40)]
    del pages
    gc.collect()
    assert [float(each.mean()) for each in placed] == [float(number) for number in range(40)]
