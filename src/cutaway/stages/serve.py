"""`cutaway serve MODEL`: a chat page, and answers through the API that OpenAI's clients speak.

It listens on this machine only; another host= needs a key_file=. Ctrl-C and SIGTERM let the
answers that are being written come to their end.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ("model",)

DRAIN_SECONDS = 30
"""How long answers may go on after the server was asked to stop."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is served, and to whom."""

    model: Path
    """The MODEL: a run folder, a checkpoint, or a folder with a LoRA adapter."""
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
    device: str = "cpu"
    """Where the models run: cpu, cuda, mps."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("max_running", 1, 256),
            ("max_waiting", 0, 10000),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is out of range; give {least} to {most}"
                )


def run(config: Config, *, console: "Console") -> None:
    """Serves until it is asked to stop."""
    try:
        from cutaway.server.access import doors
        from cutaway.server.app import create_app
        from cutaway.server.conversations import conversations_router
        from cutaway.server.listening import listen, make_server
        from cutaway.server.runs import runs_router
        from cutaway.server.storage import ConversationStore
    except ImportError as error:
        raise UsageError(
            f"serving needs {error.name}, which is not installed:\npip install 'cutaway[serve]'"
        ) from error
    import dataclasses

    from cutaway.database import FILE_NAME, told, url_of_file
    from cutaway.interop.open import open_model
    from cutaway.server.models import named

    settings = dataclasses.replace(
        doors(host=config.host, key_file=config.key_file, names=config.names),
        most_running=config.max_running,
        most_waiting=config.max_waiting,
    )
    listening = listen(config.host, config.port)
    paths = (config.model, *config.also)
    opened = [(path, open_model(path, device=config.device)) for path in paths]
    served = named(opened)
    for (_, each), model in zip(opened, served, strict=True):
        for reason in each.source.passed_over:
            console.warn(f"passed over {reason}")
        console.say(f"{model.name}: {each.source.told()}")
    url = config.database or url_of_file(config.model / FILE_NAME)
    store = ConversationStore(url)
    console.say(f"conversations: {told(url)}")
    routers = [conversations_router(store), runs_router(config.runs)]
    app = create_app(settings, models=served, routers=routers)
    server = make_server(app, most_header_bytes=settings.most_header_bytes, grace_s=DRAIN_SECONDS)
    port = listening.getsockname()[1]
    console.say(f"open http://{config.host}:{port}/ (programs: /v1); Ctrl-C ends it")
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        store.close()
