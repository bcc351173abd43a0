"""`cutaway export MODEL to=hf|gguf out=PATH`: writes a model for `transformers` or llama.cpp."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway.errors import ConfigError

if TYPE_CHECKING:
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ("model",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is written, and where."""

    model: Path
    """The MODEL: a run folder, a checkpoint, an adapter, or a Hugging Face folder."""
    to: Literal["hf", "gguf"] = "hf"
    """A folder that `transformers` opens, or one file that llama.cpp opens."""
    out: Path
    """The folder (hf: new or empty) or the file (gguf: ends in .gguf, not there yet) to write."""
    dtype: Literal["f32", "f16", "bf16", "q8_0"] = "f32"
    """How a number is stored: 32 bits, 16 bits, or (gguf) 8 bits with a scale for each 32."""

    def __post_init__(self) -> None:
        if self.to == "hf" and self.dtype == "q8_0":
            raise ConfigError("dtype=q8_0 goes with to=gguf; give f32, f16 or bf16 with to=hf")
        if self.to == "gguf" and self.out.suffix != ".gguf":
            raise ConfigError(f"out={self.out}: the name of a GGUF file ends in .gguf")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written."""

    files: tuple[str, ...]
    """The files."""
    num_bytes: int
    """Their size together."""


def run(config: Config, *, console: "Console") -> Report:
    """Opens the model and writes it."""
    from typing import cast

    import torch
    from torch import nn

    from cutaway.interop.huggingface.folder import write_folder
    from cutaway.interop.open import open_any

    opened = open_any(config.model)
    console.say(opened.source.told())
    model = cast(nn.Module, opened.model)
    if config.to == "gguf":
        from cutaway.interop.gguf import write_gguf

        for remark in write_gguf(
            config.out, model=model, tokenizer=opened.tokenizer, dtype=config.dtype
        ):
            console.warn(remark)
        paths = [config.out]
    else:
        dtypes = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
        names = write_folder(
            config.out, model=model, tokenizer=opened.tokenizer, dtype=dtypes[config.dtype]
        )
        paths = [config.out / name for name in names]
    size = sum(path.stat().st_size for path in paths)
    console.say(f"{config.out}: {len(paths)} files, {size / 1e6:,.1f} MB, {config.dtype}")
    return Report(files=tuple(str(path) for path in paths), num_bytes=size)
