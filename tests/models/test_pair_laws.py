"""Every encoder-decoder of the catalog keeps every law."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.models.catalog import CATALOG
from tests import laws, pair_laws


@pytest.mark.parametrize("name", pair_laws.MODELS)
@pytest.mark.parametrize("law", pair_laws.LAWS, ids=lambda law: law.__name__)
def test_every_encoder_decoder_keeps_the_law(name: str, law: Callable[[Any], None]) -> None:
    law(pair_laws.toy(name))


@pytest.mark.parametrize("name", sorted(pair_laws.PACKED))
@pytest.mark.parametrize("law", pair_laws.PACKED_LAWS, ids=lambda law: law.__name__)
def test_what_reads_several_pairs_keeps_the_law(name: str, law: Callable[[Any], None]) -> None:
    law(pair_laws.toy(name))


@pytest.mark.parametrize("name", sorted(pair_laws.MODELS.keys() - pair_laws.PACKED))
def test_stepped_out_recurrence_equals_the_kernel(name: str) -> None:
    pair_laws.stepped_out_recurrence_equals_the_kernel(pair_laws.toy(name))


@pytest.mark.parametrize("name", sorted(pair_laws.MODELS.keys() - pair_laws.PACKED))
def test_what_reads_one_pair_a_row_refuses_several(name: str) -> None:
    model: Any = pair_laws.toy(name)
    with pytest.raises(ValueError, match="one document a row"):
        model.encode(laws.ids(1, 4), documents=torch.tensor([[1, 1, 2, 2]]))
    with pytest.raises(ValueError, match="24 at most"):
        model.encode(laws.ids(1, 25))


@pytest.mark.parametrize("name", pair_laws.MODELS)
def test_saving_and_loading_is_the_identity(name: str, tmp_path: Path) -> None:
    pair_laws.saving_and_loading_is_the_identity(pair_laws.toy(name), tmp_path)


def test_no_encoder_decoder_is_left_out() -> None:
    tested = {sizes["architecture"] for sizes in pair_laws.MODELS.values()}
    assert tested == {name for name, kind in CATALOG.items() if kind.kind == "encoder-decoder"}
