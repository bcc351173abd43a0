"""Every encoder-decoder of the catalog keeps every law."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.models.catalog import CATALOG
from tests import pair_laws


@pytest.mark.parametrize("name", pair_laws.MODELS)
@pytest.mark.parametrize("law", pair_laws.LAWS, ids=lambda law: law.__name__)
def test_every_encoder_decoder_keeps_the_law(name: str, law: Callable[[Any], None]) -> None:
    law(pair_laws.toy(name))


@pytest.mark.parametrize("name", sorted(pair_laws.PACKED))
def test_packed_pairs_do_not_see_each_other(name: str) -> None:
    pair_laws.packed_pairs_do_not_see_each_other(pair_laws.toy(name))


@pytest.mark.parametrize("name", pair_laws.MODELS)
def test_saving_and_loading_is_the_identity(name: str, tmp_path: Path) -> None:
    pair_laws.saving_and_loading_is_the_identity(pair_laws.toy(name), tmp_path)


def test_no_encoder_decoder_is_left_out() -> None:
    tested = {sizes["architecture"] for sizes in pair_laws.MODELS.values()}
    assert tested == {name for name, kind in CATALOG.items() if kind.kind == "encoder-decoder"}
