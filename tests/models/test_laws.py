"""Every decoder of the catalog keeps every law."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.models.catalog import CATALOG
from tests import laws


@pytest.mark.parametrize("name", laws.DECODERS)
@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_every_decoder_keeps_the_law(name: str, law: Callable[[Any], None]) -> None:
    law(laws.toy(name))


@pytest.mark.parametrize("name", laws.DECODERS)
def test_saving_and_loading_is_the_identity(name: str, tmp_path: Path) -> None:
    laws.saving_and_loading_is_the_identity(laws.toy(name), tmp_path)


@pytest.mark.parametrize("name", sorted(laws.DECODERS.keys() - laws.READ_GROUPS))
def test_vectors_may_stand_in_for_tokens(name: str) -> None:
    laws.vectors_may_stand_in_for_tokens(laws.toy(name))


def test_no_architecture_is_left_out() -> None:
    tested = {sizes["architecture"] for sizes in laws.DECODERS.values()}
    assert tested == {name for name, kind in CATALOG.items() if kind.kind == "decoder"}
