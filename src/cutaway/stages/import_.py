"""`cutaway import PATH run=runs/NAME`: makes a run of a Hugging Face folder, to go on from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.errors import UsageError

if TYPE_CHECKING:
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ("path",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is read, and where the run is made."""

    path: Path
    """The folder: config.json, tokenizer.json and the weights as .safetensors."""
    run: Path
    """The run folder to make."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was imported."""

    checkpoint: str
    """The checkpoint that was made."""
    architecture: str
    """The name in the catalog."""
    num_parameters: int
    """Weights, a shared one counted once."""
    can_chat: bool
    """Whether a chat template came with it."""


def run(config: Config, *, console: "Console") -> Report:
    """Reads everything, then writes the run's first checkpoint."""
    import json
    from typing import cast

    from torch import nn

    from cutaway import checkpoint, settings
    from cutaway.interop.open import open_any
    from cutaway.models.catalog import describe
    from cutaway.models.weights import weights_of
    from cutaway.run_folder import RunFolder, provenance
    from cutaway.tokenizer.exported import huggingface_files

    folder = RunFolder(path=config.run)
    if folder.checkpoints.exists():
        raise UsageError(f"{config.run}: there is a run already; give another folder with run=PATH")
    opened = open_any(config.path)
    if opened.source.kind != "huggingface":
        raise UsageError(
            f"{config.path}: this is a model of ours already ({opened.source.kind});\n"
            "use it as it is: every verb takes it as MODEL"
        )
    model, tokenizer = cast(nn.Module, opened.model), opened.tokenizer
    console.say(opened.source.told())
    described = json.dumps(describe(model), indent=2).encode()
    context_length = int(opened.model.config.context_length)
    with folder.lock():
        folder.create(settings.dump(config), provenance(tokenizer=tokenizer.fingerprint))
        tokenizer.save(config.run)
        place = checkpoint.save(
            folder.checkpoints,
            step=0,
            tensors={"model": weights_of(model)},
            files={
                "config.json": described,
                "tokenizer.json": tokenizer.to_json().encode(),
                "state.json": json.dumps({"stage": "import", "step": 0}).encode(),
                **huggingface_files(tokenizer, context_length=context_length),
            },
        )
    verb = "chat" if opened.source.can_chat else "generate"
    console.say(f"{place}; try: cutaway {verb} {config.run}")
    return Report(
        checkpoint=str(place),
        architecture=opened.source.architecture,
        num_parameters=opened.source.num_parameters,
        can_chat=opened.source.can_chat,
    )
