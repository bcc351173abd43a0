"""What a config of `transformers` gives: each value checked when it is asked for, none trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

from cutaway.errors import CheckpointError

CODE = ("auto_map", "custom_pipelines", "trust_remote_code", "_target_", "class_path")
"""Keys by which a config would have code run."""

ACTIVATIONS = MappingProxyType(
    {
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_fast": "gelu_tanh",
        "gelu": "gelu",
        "relu": "relu",
        "silu": "silu",
        "swish": "silu",
    }
)
"""Their names with ours; of several, the first is written."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A config as it was read; each value is checked when it is asked for."""

    values: Mapping[str, Any]
    place: str

    def size(self, name: str, otherwise: int | None = None) -> int:
        """A whole number of 1 or more."""
        value = self._value(name, otherwise)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
            self.refuse(name, "a whole number of 1 or more")
        return value

    def number(self, name: str, otherwise: float | None = None) -> float:
        """A number of 0 or more."""
        value = self._value(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            self.refuse(name, "a number of 0 or more")
        return float(value)

    def flag(self, name: str, otherwise: bool) -> bool:
        """True or false."""
        value = self._value(name, otherwise)
        if not isinstance(value, bool):
            self.refuse(name, "true or false")
        return value

    def word(self, name: str, allowed: Mapping[str, str], otherwise: str) -> str:
        """Our word for one of theirs."""
        value = self._value(name, otherwise)
        if not isinstance(value, str) or value not in allowed:
            self.refuse(name, " or ".join(allowed))
        return allowed[value]

    def require(self, name: str, value: object) -> None:
        """Refuses every value of an option but the one that our models have; it may be missing."""
        if name in self.values and self.values[name] not in (value, None):
            self.refuse(name, str(value))

    def refuse(self, name: str, allowed: str) -> NoReturn:
        """Raises the error about a value."""
        raise CheckpointError(
            f"{self.place}: `{name}` is {str(self.values.get(name))[:80]}, "
            f"but what can be opened has {allowed}"
        )

    def _value(self, name: str, otherwise: Any) -> Any:
        value = self.values.get(name)
        if value is None and otherwise is None:
            raise CheckpointError(f"{self.place}: `{name}` is missing")
        return otherwise if value is None else value


def refuse_code(config: Mapping[str, Any], *, place: str) -> None:
    """Raises CheckpointError where a config would have code run."""
    for key in CODE:
        if key in config:
            raise CheckpointError(
                f"{place}: `{key}` names code that the model would need, and no code of a model "
                "is run;\nask for weights of a class that `transformers` itself has"
            )
