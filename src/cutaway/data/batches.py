"""What a step learns from: token ids, their targets, and which of the targets count."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Rows of tokens with the token that follows each of them."""

    tokens: Int64[Tensor, "B T"]
    """Ids that go in."""
    targets: Int64[Tensor, "B T"]
    """The id that follows each token in its document."""
    loss_mask: Bool[Tensor, "B T"]
    """True where the target is learned from."""
    documents: Int64[Tensor, "B T"]
    """Which document of its row a token belongs to: 1, 2, 3, ...; 0 is padding."""

    def to(self, device: torch.device | str) -> "TokenBatch":
        """Copies the batch to a device; a copy to a GPU does not wait for its end."""
        return TokenBatch(
            tokens=self.tokens.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            loss_mask=self.loss_mask.to(device, non_blocking=True),
            documents=self.documents.to(device, non_blocking=True),
        )

    def chunks(self, rows: int) -> list["TokenBatch"]:
        """Cuts the batch into pieces of at most `rows` rows, for gradient accumulation."""
        return [
            TokenBatch(
                tokens=self.tokens[start : start + rows],
                targets=self.targets[start : start + rows],
                loss_mask=self.loss_mask[start : start + rows],
                documents=self.documents[start : start + rows],
            )
            for start in range(0, self.tokens.shape[0], rows)
        ]
