"""The model under test with all that a test needs of it."""

from dataclasses import dataclass

from cutaway.evaluation.generation import Asker, ChatAsker, Completer, TextAsker
from cutaway.inference.sampling import Greedy, Sampler, Temperature
from cutaway.models.decoder import Decoder
from cutaway.tokenizer.base import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, its tokenizer and its engine."""

    stage: str
    """What reports call it: `base`, `finetuned`, ..."""
    model: Decoder
    """What predicts."""
    tokenizer: Tokenizer
    """Its own tokenizer."""
    engine: Completer
    """What writes with it."""
    can_chat: bool
    """Whether it has learned to answer rather than to go on."""

    @property
    def asker(self) -> Asker:
        """What puts questions to it in the way it understands; the most probable answer counts."""
        return self._asker(sampler=Greedy(), seed=0)

    def drawing(self, *, seed: int) -> Asker:
        """The same, but that the answers are drawn at temperature 1."""
        return self._asker(sampler=Temperature(1.0), seed=seed)

    def _asker(self, *, sampler: Sampler, seed: int) -> Asker:
        kind = ChatAsker if self.can_chat else TextAsker
        length = self.model.config.context_length
        return kind(self.engine, self.tokenizer, context_length=length, sampler=sampler, seed=seed)
