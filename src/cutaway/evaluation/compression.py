"""What plain compressors make of the held-out text when they have read the training text first.

A language model is a compressor (Delétang et al. 2024): its bits per byte stand beside theirs.
"""

import lzma
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cutaway.errors import DataError
from cutaway.evaluation.ngram import BytePredictor

GZIP_FORMAT = 31
"""zlib's number for its largest window, 32 KiB, in gzip's format."""


@dataclass(frozen=True, kw_only=True)
class CompressionBaselines:
    """Bits per byte of a held-out text by methods that learn without a neural network."""

    gzip: float
    """gzip -9. Its window of 32 KiB holds little of the training text."""

    xz: float
    """xz -9e, whose window of 64 MiB holds all of it."""

    ngram5: float
    """A 5-gram model over bytes: each byte predicted from the four before it."""


def compression_baselines(training: Sequence[str], held_out: Sequence[str]) -> CompressionBaselines:
    """Measures all three on the same text; takes about two seconds a megabyte of training text."""
    known, unknown = _joined(training), _joined(held_out)
    if not known or not unknown:
        raise DataError(
            f"{len(known)} bytes of training text and {len(unknown)} of held-out text;\n"
            "a baseline needs some of both"
        )
    return CompressionBaselines(
        gzip=gzip_bits_per_byte(known, unknown),
        xz=xz_bits_per_byte(known, unknown),
        ngram5=BytePredictor(known, order=5).bits_per_byte(unknown),
    )


def gzip_bits_per_byte(known: bytes, unknown: bytes) -> float:
    """Returns how many bits a byte `gzip -9` adds for `unknown` after `known`."""
    stream = zlib.compressobj(9, zlib.DEFLATED, GZIP_FORMAT)
    written = len(stream.compress(known))
    alone = written + len(stream.copy().flush())
    both = written + len(stream.compress(unknown)) + len(stream.flush())
    return 8 * (both - alone) / len(unknown)


def xz_bits_per_byte(known: bytes, unknown: bytes) -> float:
    """Returns how many bits a byte `xz -9e` adds for `unknown` after `known`."""
    # It takes seconds and lets go of Python's lock, so both are done at once.
    with ThreadPoolExecutor(max_workers=2) as pool:
        alone, both = pool.map(_xz_bytes, [known, known + unknown])
    return 8 * (both - alone) / len(unknown)


def _xz_bytes(text: bytes) -> int:
    return len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))


def _joined(texts: Sequence[str]) -> bytes:
    return b"".join(text.encode() + b"\n" for text in texts)
