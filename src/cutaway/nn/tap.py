"""A named place where an activation can be watched or replaced; free when nobody looks."""

from torch import Tensor, nn


class Tap(nn.Module):
    """Returns its input unchanged.

    Its only purpose is its name in the module tree (`stack.blocks.3.attention.query`): a forward
    hook on it reads the activation or puts another in its place. Without a hook it costs nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x
