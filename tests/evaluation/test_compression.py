"""The compressors' figures are those of the programs, given the training text first."""

import gzip
import lzma

import pytest

from cutaway.errors import DataError
from cutaway.evaluation.compression import (
    compression_baselines,
    gzip_bits_per_byte,
    xz_bits_per_byte,
)

KNOWN = b"".join(b"verse %d: the light was good, the night was dark.\n" % n for n in range(99))
UNKNOWN = b"verse 1000: and the day was good, and the light was bright.\n" * 3


def test_gzip_is_charged_for_what_the_second_text_adds():
    expected = len(gzip.compress(KNOWN + UNKNOWN, 9)) - len(gzip.compress(KNOWN, 9))
    assert gzip_bits_per_byte(KNOWN, UNKNOWN) == 8 * expected / len(UNKNOWN)


def test_xz_is_charged_for_what_the_second_text_adds():
    preset = 9 | lzma.PRESET_EXTREME
    expected = len(lzma.compress(KNOWN + UNKNOWN, preset=preset)) - len(
        lzma.compress(KNOWN, preset=preset)
    )
    assert xz_bits_per_byte(KNOWN, UNKNOWN) == 8 * expected / len(UNKNOWN)


def test_every_baseline_profits_from_the_training_text():
    texts, held_out = [KNOWN.decode()], [UNKNOWN.decode()]
    near = compression_baselines(texts, held_out)
    far = compression_baselines(["0123456789" * 99], held_out)
    assert near.gzip < far.gzip
    assert near.xz < far.xz
    assert near.ngram5 < far.ngram5


@pytest.mark.parametrize(("training", "held_out"), [([], ["a"]), (["a"], [])])
def test_a_missing_text_is_an_error(training, held_out):
    with pytest.raises(DataError, match="a baseline needs some of both"):
        compression_baselines(training, held_out)
