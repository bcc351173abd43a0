"""How pretraining and fine-tuning read their sources: rows of tokens, for one of the processes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cutaway.stages.learning import PacingConfig

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.data.loaders import Loader
    from cutaway.data.sources import Source
    from cutaway.training.distributed import Processes


def fingerprints_of(sources: "Sequence[Source]") -> dict[str, str]:
    """Returns a hash of each source's data."""
    return {source.name: source.shards.fingerprint for source in sources}


def row_loader(
    sources: "Sequence[Source]",
    pacing: PacingConfig,
    *,
    row_length: int,
    seed: int,
    console: "Console",
) -> "Callable[[Processes], Loader]":
    """Returns what opens the sources, and tells of examples that no row can hold."""

    def open_loader(group: "Processes") -> "Loader":
        from cutaway.data.loaders import Loader

        loader = Loader(
            sources,
            rows=pacing.rows,
            row_length=row_length,
            seed=seed,
            rank=group.rank,
            world=group.world,
        )
        _tell_left_out(loader, console)
        return loader

    return open_loader


def _tell_left_out(loader: "Loader", console: "Console") -> None:
    from cutaway.data.sources import PackedExamples

    for source, maker in zip(loader.sources, loader.makers, strict=True):
        if isinstance(maker, PackedExamples) and maker.num_dropped:
            total = source.shards.num_documents
            console.warn(
                f"{maker.num_dropped:,} of {total:,} examples of {source.name} are left out: "
                f"they are longer than a row of {loader.row_length} tokens"
            )
