"""Opens any model: a run folder, a checkpoint, an adapter, a Hugging Face folder; the one door."""

import dataclasses
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from cutaway import checkpoint
from cutaway.checkpoint import MANIFEST, Checkpoint
from cutaway.errors import CheckpointError, UsageError
from cutaway.inference.vectors import Encoder
from cutaway.interop import peft
from cutaway.interop.building import model_from
from cutaway.interop.huggingface import folder
from cutaway.interop.huggingface.customs import with_customs
from cutaway.models.bert import Bert
from cutaway.models.catalog import CATALOG, Kind, kind_of
from cutaway.models.decoder import Decoder
from cutaway.models.encoder_decoder import EncoderDecoder
from cutaway.models.heads import Classifier
from cutaway.models.weights import load_weights, require_shapes
from cutaway.nn.lora import merge_lora
from cutaway.run_folder import RunFolder
from cutaway.tensor_files import check_tensor_file
from cutaway.tokenizer.base import FILE_NAME, Tokenizer
from cutaway.tokenizer.open import open_tokenizer

WEIGHTS = "model"
"""The stem of the file that holds a checkpoint's weights."""

DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?|mps")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model came from."""

    path: Path
    """What was given."""
    checkpoint: Path
    """The checkpoint whose weights were read; of an adapter, its base's."""
    kind: Literal["run", "checkpoint", "adapter", "huggingface"]
    """What the path turned out to be."""
    step: int
    """Optimizer steps that the checkpoint has behind it."""
    stage: str
    """The verb that wrote the checkpoint: `pretrain`, `finetune`, ...; `import`: others did."""
    architecture: str
    """The name in the catalog."""
    num_parameters: int
    """Weights, a shared one counted once."""
    passed_over: tuple[str, ...] = ()
    """Why newer checkpoints were not taken."""
    has_template: bool = False
    """Whether a chat template came with the model."""

    @property
    def can_chat(self) -> bool:
        """Whether the model has learned to answer rather than to go on."""
        if self.stage == "import":
            return self.has_template
        return self.stage not in ("pretrain", "reward")

    def told(self) -> str:
        """The model in a line, for people."""
        size = f"{self.num_parameters:,} parameters"
        return f"{self.path}: {self.architecture}, {size}, {self.stage}, step {self.step:,}"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A decoder that is ready to be used."""

    model: Decoder
    tokenizer: Tokenizer
    source: Source


@dataclass(frozen=True, kw_only=True)
class OpenedPair:
    """An encoder-decoder that is ready to be used."""

    model: EncoderDecoder
    tokenizer: Tokenizer
    source: Source


@dataclass(frozen=True, kw_only=True)
class OpenedEncoder:
    """An encoder that is ready to be used."""

    model: Bert
    tokenizer: Tokenizer
    source: Source


@dataclass(frozen=True, kw_only=True)
class OpenedClassifier:
    """A classifier that is ready to be used."""

    model: Classifier
    tokenizer: Tokenizer
    source: Source


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """A model of any kind, before anybody has asked what it does."""

    model: nn.Module
    tokenizer: Tokenizer
    source: Source


AnyOpened = Opened | OpenedPair | OpenedEncoder | OpenedClassifier


def open_model(path: Path, *, device: str = "cpu") -> Opened:
    """The decoder of a run (its newest good checkpoint), a checkpoint, an adapter, `transformers`.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of a kind that cannot be opened.
        UsageError: it is no decoder, or torch does not know the device.
    """
    opened = open_any(path, device=device)
    if not isinstance(opened, Opened):
        raise UsageError(
            f"{path}: {_does(opened)}; it goes on with no text\n"
            f"cutaway generate {path} TEXT and cutaway evaluate {path} use it"
        )
    return opened


def open_pair_model(path: Path, *, device: str = "cpu") -> OpenedPair:
    """The encoder-decoder of a run or a checkpoint; raises what `open_model` raises."""
    opened = open_any(path, device=device)
    if not isinstance(opened, OpenedPair):
        raise UsageError(
            f"{path}: {_does(opened)}; it reads no source\n"
            'give a model of pairs: architecture = "transformer"'
        )
    return opened


def open_encoder(path: Path, *, device: str = "cpu") -> Encoder:
    """The encoder of a run, a checkpoint or `transformers`; raises what `open_model` raises."""
    opened = open_any(path, device=device)
    if not isinstance(opened, OpenedEncoder):
        raise UsageError(
            f"{path}: {_does(opened)}; it makes no vectors of texts\n"
            'give an encoder: architecture = "bert", or a Hugging Face folder of type bert'
        )
    return Encoder(model=opened.model, tokenizer=opened.tokenizer)


def kind_at(path: Path) -> Kind | None:
    """What the model at a path does, from its config alone; None where none can be opened."""
    try:
        if not (path / MANIFEST).is_file() and folder.is_huggingface(path):
            settings = folder.settings_at(path)
        else:
            settings = _find(path)[0].json("config.json")
    except CheckpointError:
        return None
    if isinstance(settings, dict) and "classifier" in settings:
        return "classifier"
    name = settings.get("architecture") if isinstance(settings, dict) else None
    return CATALOG[name].kind if isinstance(name, str) and name in CATALOG else None


def is_pair_model(path: Path) -> bool:
    """Whether an encoder-decoder lies at a path; no where nothing that can be opened does."""
    return kind_at(path) == "encoder-decoder"


def open_any(path: Path, *, device: str = "cpu") -> AnyOpened:
    """The model at a path, of whatever kind; raises what `open_model` raises for a bad one."""
    if (path / peft.CONFIG).is_file():
        opened = _open_adapter(path)
    else:
        opened = _open_whole(path)
    allowed = "allowed are cpu, cuda, cuda:1, mps, as far as the machine has them"
    if not DEVICE.fullmatch(device):
        raise UsageError(f"device={device[:80]} is not known;\n{allowed}")
    model = opened.model
    try:
        model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device={device}: torch cannot use it here: {str(error).splitlines()[0][:200]}\n"
            f"{allowed}"
        ) from error
    tokenizer, source = opened.tokenizer, opened.source
    if isinstance(model, Bert):
        return OpenedEncoder(model=model, tokenizer=tokenizer, source=source)
    if isinstance(model, Classifier):
        return OpenedClassifier(model=model, tokenizer=tokenizer, source=source)
    if kind_of(model) == "encoder-decoder":
        pair = cast(EncoderDecoder, model)
        return OpenedPair(model=pair, tokenizer=tokenizer, source=source)
    return Opened(model=cast(Decoder, model), tokenizer=tokenizer, source=source)


def _does(opened: AnyOpened) -> str:
    """What a model does, in words."""
    name = opened.source.architecture
    match opened:
        case OpenedPair():
            return f"a {name} reads one text and writes another"
        case OpenedEncoder():
            return f"a {name} reads whole texts and fills their blanks"
        case OpenedClassifier():
            return f"a {name} with a head for classes names the class of a text"
    return f"a {name} goes on with a text"


def _open_whole(path: Path) -> _Whole:
    """A model that needs no other: ours, or a folder of Hugging Face."""
    if not (path / MANIFEST).is_file() and folder.is_huggingface(path):
        return _open_huggingface(path)
    found, kind, passed_over = _find(path)
    return _open_checkpoint(found, path=path, kind=kind, passed_over=passed_over)


def _open_huggingface(path: Path) -> _Whole:
    found = folder.open_folder(path)
    source = Source(
        path=path,
        checkpoint=path,
        kind="huggingface",
        step=0,
        stage="import",
        architecture=found.settings["architecture"],
        num_parameters=sum(weight.numel() for weight in found.model.parameters()),
        has_template=found.tokenizer.customs.template is not None,
    )
    return _Whole(model=found.model, tokenizer=found.tokenizer, source=source)


def _find(path: Path) -> tuple[Checkpoint, Literal["run", "checkpoint"], tuple[str, ...]]:
    """The checkpoint that a path means, and why newer ones were passed over."""
    if not path.exists():
        raise CheckpointError(_not_there(path))
    if (path / MANIFEST).is_file():
        return checkpoint.load(path), "checkpoint", ()
    checkpoints = path if path.name == "checkpoints" else RunFolder(path=path).checkpoints
    if not checkpoints.is_dir():
        raise CheckpointError(_not_a_model(path))
    newest = checkpoint.newest(checkpoints)
    if newest.checkpoint is None:
        reasons = "\n".join(newest.passed_over[:3]) or "the run has not saved one yet"
        raise CheckpointError(f"{path}: there is no good checkpoint:\n{reasons}")
    return newest.checkpoint, "run", newest.passed_over


def _open_checkpoint(
    found: Checkpoint,
    *,
    path: Path,
    kind: Literal["run", "checkpoint"],
    passed_over: tuple[str, ...] = (),
) -> _Whole:
    settings = found.json("config.json")
    place = str(found.path / "config.json")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{place}: not a table of settings")
    with torch.device("meta"):  # shapes without memory, to be compared with the file's first
        shapes = model_from(settings, place=place)
    weights = found.path / f"{WEIGHTS}.safetensors"
    if weights.name not in found.files:
        raise CheckpointError(f"{found.path}: the manifest names no {weights.name}")
    require_shapes(shapes, check_tensor_file(weights))
    model = model_from(settings, place=place)
    load_weights(model, found.tensors(WEIGHTS))
    merge_lora(model)
    tokenizer = _tokenizer(found, vocab_size=settings["vocab_size"])
    state = found.json("state.json") if "state.json" in found.files else {}
    stage = state.get("stage") if isinstance(state, dict) else None
    source = Source(
        path=path,
        checkpoint=found.path,
        kind=kind,
        step=found.step,
        stage=stage if isinstance(stage, str) else "pretrain",
        architecture=settings["architecture"],
        num_parameters=sum(weight.numel() for weight in model.parameters()),
        passed_over=passed_over,
        has_template=tokenizer.customs.template is not None,
    )
    return _Whole(model=model, tokenizer=tokenizer, source=source)


def _open_adapter(path: Path) -> _Whole:
    """The base that the adapter names, with the adapter's change added to its matrices."""
    base = peft.base_of(path)
    opened = _open_whole(base.path)
    where = opened.source.checkpoint
    if base.sha256 is not None and peft.hash_of_weights(where) != base.sha256:
        raise CheckpointError(
            f"{path}: the adapter was trained on other weights than {where} has;\n"
            f"give it its own base: write the base's folder into {peft.BASE}"
        )
    model = opened.model
    peft.load_adapter(model, path)
    merge_lora(model)
    source = dataclasses.replace(opened.source, path=path, kind="adapter", stage="finetune")
    return dataclasses.replace(opened, source=source)


def _tokenizer(found: Checkpoint, *, vocab_size: int) -> Tokenizer:
    if FILE_NAME not in found.files:
        raise CheckpointError(
            f"{found.path}: the manifest names no {FILE_NAME}, and a model without its tokenizer "
            "reads other words than it learned"
        )
    tokenizer = open_tokenizer(found.path / FILE_NAME)
    if tokenizer.vocab_size > vocab_size:
        raise CheckpointError(
            f"{found.path}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model knows "
            f"{vocab_size:,};\nthe tokenizer is of another model: put this model's own there"
        )
    return with_customs(
        tokenizer,
        read=lambda name: found.bytes(name) if name in found.files else None,
        place=str(found.path),
    )


def _not_there(path: Path) -> str:
    folder = path.parent
    beside = (
        sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    )
    near = get_close_matches(path.name, beside, n=1)
    advice = f"; did you mean {folder / near[0]}?" if near else ""
    return (
        f"there is no model at {path}{advice}\n"
        "give a run folder such as runs/demo, one of its checkpoints, an adapter, or a Hugging Face"
        " folder"
    )


def _not_a_model(path: Path) -> str:
    if path.is_file():
        return f"{path}: a file, not a model;\ngive the run folder or the checkpoint it is part of"
    if (path / "config.json").is_file():
        return (
            f"{path}: has a config.json, but no {MANIFEST}, so it is none of our checkpoints;\n"
            "and the config has no model_type, so it is no Hugging Face folder"
        )
    return (
        f"{path}: neither a run (it has no checkpoints/) nor a checkpoint (it has no {MANIFEST});\n"
        "`cutaway pretrain run=PATH` makes a run"
    )
