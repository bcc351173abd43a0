"""`cutaway serve MODEL`: a chat page, and answers through the API that OpenAI's clients speak.

It listens on this machine only; another host= needs a key_file=. Ctrl-C and SIGTERM let the
answers that are being written come to their end.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.server.encoders import ServedEncoder
    from cutaway.server.models import Served
    from cutaway.server.translations import ServedPair

POSITIONAL: tuple[str, ...] = ("model",)

DRAIN_SECONDS = 30
"""How long answers may go on after the server was asked to stop."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is served, and to whom."""

    model: Path
    """The MODEL: a run folder, a checkpoint, a LoRA adapter, or an encoder such as BERT."""
    also: tuple[Path, ...] = ()
    """More models, which a request chooses by name: to compare two, for instance."""
    runs: Path = Path("runs")
    """The folder whose runs are shown on a page."""
    host: str = "127.0.0.1"
    """Where to listen; another one than this machine's own 127.0.0.1 needs key_file."""
    port: int = 8000
    """The port, 0 to 65535; 0 takes any that is free."""
    key_file: Path | None = None
    """A file with a key, one word of 16 characters or more, that every request must show."""
    names: tuple[str, ...] = ()
    """More names that the server goes by, such as box.example; others are refused."""
    database: str = ""
    """Where conversations are kept, as a URL of SQLite or PostgreSQL; empty: in the run folder."""
    max_running: int = 8
    """Answers that are written at once, 1 to 256."""
    max_waiting: int = 64
    """Answers that wait, 0 to 10000; who comes then is told to come again."""
    shared_mib: int = 256
    """MiB of each model for what requests begin alike, such as a system prompt, 0 to 65536; 0 keeps
    nothing, so that nobody's prompt makes another's answer begin sooner."""
    device: str = "cpu"
    """Where the models run: cpu, cuda, mps."""
    weights: Literal["plain", "fp32", "bf16", "int8"] = "plain"
    """plain: PyTorch in fp32; the others run compiled C++ on the CPU, fp32 with the same weights,
    bf16 and int8 with matrices rounded to this format."""
    guess: str = ""
    """What guesses tokens ahead, which changes no text: prompt (what followed the same words), or a
    smaller MODEL with the same tokenizer; empty: nothing."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("max_running", 1, 256),
            ("max_waiting", 0, 10000),
            ("shared_mib", 0, 65536),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is out of range; give {least} to {most}"
                )


def run(config: Config, *, console: "Console") -> None:
    """Serves until it is asked to stop."""
    try:
        from cutaway.server.access import doors
        from cutaway.server.app import USUAL_PAGES, create_app
        from cutaway.server.conversations import conversations_router
        from cutaway.server.labelling import Study, labelling_router
        from cutaway.server.listening import listen, make_server
        from cutaway.server.runs import runs_router
        from cutaway.server.storage import ConversationStore
    except ImportError as error:
        raise UsageError(
            f"serving needs {error.name}, which is not installed:\npip install 'cutaway[serve]'"
        ) from error
    import dataclasses

    from cutaway.alignment.preferences import PreferenceStore
    from cutaway.database import FILE_NAME, told, url_of_file

    settings = dataclasses.replace(
        doors(host=config.host, key_file=config.key_file, names=config.names),
        most_running=config.max_running,
        most_waiting=config.max_waiting,
    )
    listening = listen(config.host, config.port)
    served, encoders, pairs = _open(config, console=console)
    url = config.database or url_of_file(config.model / FILE_NAME)
    store = ConversationStore(url)
    console.say(f"conversations: {told(url)}")
    judged = PreferenceStore(url)
    routers = [conversations_router(store), runs_router(config.runs)]
    pages = list(USUAL_PAGES if served or pairs else ("/runs",))  # encoders answer no chat
    if judged.comparisons():
        console.say("answers to judge: /label")
        routers.append(labelling_router(Study(store=judged)))
        pages.append("/label")
    app = create_app(
        settings, models=served, encoders=encoders, pairs=pairs, routers=routers, pages=pages
    )
    server = make_server(app, most_header_bytes=settings.most_header_bytes, grace_s=DRAIN_SECONDS)
    port = listening.getsockname()[1]
    console.say(f"open http://{config.host}:{port}/ (programs: /v1); Ctrl-C ends it")
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        store.close()
        judged.close()


def _open(
    config: Config, *, console: "Console"
) -> "tuple[list[Served], list[ServedEncoder], list[ServedPair]]":
    """The models that go on with texts, those that make vectors, and those that translate."""
    from cutaway.inference.engine import Engine
    from cutaway.inference.fast import accelerate
    from cutaway.inference.fast_pairs import accelerate_pair
    from cutaway.interop.open import (
        is_pair_model,
        kind_at,
        open_encoder,
        open_model,
        open_pair_model,
    )
    from cutaway.server.encoders import ServedEncoder
    from cutaway.server.models import Served, names_of
    from cutaway.server.translations import ServedPair
    from cutaway.stages.guessing import make_guesser

    served: list[Served] = []
    encoders: list[ServedEncoder] = []
    pairs: list[ServedPair] = []
    paths = (config.model, *config.also)
    for path, name in zip(paths, names_of(paths), strict=True):
        if kind_at(path) == "encoder":
            encoder = open_encoder(path, device=config.device)
            encoders.append(ServedEncoder(name=name, encoder=encoder))
            console.say(f"{name}: {path}, which makes vectors of {encoder.width}")
            continue
        if is_pair_model(path):
            pair = open_pair_model(path, device=config.device)
            writer = ServedPair(name=name, model=pair.model, tokenizer=pair.tokenizer)
            if config.weights != "plain":
                quick = accelerate_pair(pair.model, weights=config.weights)
                console.say(f"weights={config.weights}: {quick.reason}")
                writer = replace(writer, model=quick.model, choose=quick.choose)
            pairs.append(writer)
            console.say(f"{name}: {pair.source.told()}")
            continue
        opened = open_model(path, device=config.device)
        for reason in opened.source.passed_over:
            console.warn(f"passed over {reason}")
        guesser = make_guesser(config.guess, tokenizer=opened.tokenizer, device=config.device)
        model = opened.model
        if config.weights != "plain":
            fast = accelerate(model, weights=config.weights)
            console.say(f"weights={config.weights}: {fast.reason}")
            model = fast.model
        engine = Engine(
            model, opened.tokenizer, shared_bytes=config.shared_mib * 2**20, guesser=guesser
        )
        served.append(Served(name=name, engine=engine, is_chat=opened.source.can_chat))
        console.say(f"{name}: {opened.source.told()}")
    return served, encoders, pairs
