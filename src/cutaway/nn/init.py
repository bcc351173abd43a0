"""Named initialisations, each with its paper; all randomness comes from a given generator."""

import math

import torch
from torch import Tensor, nn

from cutaway.nn.recurrent import LSTMCell


def gpt(model: nn.Module, *, num_layers: int, generator: torch.Generator) -> None:
    """Draws weights from N(0, 0.02), projections into the stream from N(0, 0.02 / sqrt(2 L)).

    Radford et al. 2019, section 2.3: the second keeps the variance of the residual stream at
    depth L.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2 or not parameter.is_floating_point():
            continue
        into_stream = name.endswith(("output_projection.weight", "down.weight"))
        spread = 0.02 / math.sqrt(2 * num_layers) if into_stream else 0.02
        normal(parameter, spread=spread, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def bert(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draws every matrix from N(0, 0.02) and sets biases to zero.

    As the code published with Devlin et al. 2018, which also draws again beyond two deviations.
    """
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            normal(parameter, spread=0.02, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def fan_in(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draws each matrix uniformly with variance 1 / (3 x inputs); zero where it enters the stream.

    Zero output projections make every block the identity at the start (Zhang et al. 2019, Fixup,
    section 3; Yang and Hu 2021 for the width rule). Embeddings are drawn from N(0, 1) / sqrt(D).
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2 or not parameter.is_floating_point():
            continue
        if name.endswith(("output_projection.weight", "down.weight")):
            nn.init.zeros_(parameter)
        elif "embedding" in name:
            normal(parameter, spread=1 / math.sqrt(parameter.shape[1]), generator=generator)
        else:
            bound = 1 / math.sqrt(parameter.shape[1])
            with torch.no_grad():
                parameter.uniform_(-bound, bound, generator=generator)


def xavier(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draws each matrix uniformly with variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

    As the code published with Vaswani et al. 2017. Embeddings are drawn from N(0, 1 / sqrt(D)),
    biases are zero.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        if "embedding" in name:
            normal(parameter, spread=1 / math.sqrt(parameter.shape[1]), generator=generator)
        else:
            bound = math.sqrt(6 / (parameter.shape[0] + parameter.shape[1]))
            with torch.no_grad():
                parameter.uniform_(-bound, bound, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def recurrent(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draws matrices uniformly with variance 1 / (3 x inputs); each gate of U is orthogonal.

    An orthogonal U keeps the length of a state that goes on (Bahdanau 2015, B.1; Saxe et al. 2014).
    The gate by which an LSTM keeps its memory is open at the start (Jozefowicz et al. 2015, 3.2).
    Embeddings are drawn from N(0, 1) / sqrt(D).
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            continue
        if parameter.dim() < 2:
            nn.init.zeros_(parameter)
        elif "embedding" in name:
            normal(parameter, spread=1 / math.sqrt(parameter.shape[1]), generator=generator)
        elif name.endswith("hidden_projection.weight"):
            for gate in torch.split(parameter.detach(), parameter.shape[1]):
                nn.init.orthogonal_(gate, generator=generator)
        else:
            bound = 1 / math.sqrt(parameter.shape[1])
            with torch.no_grad():
                parameter.uniform_(-bound, bound, generator=generator)
    for module in model.modules():
        if isinstance(module, LSTMCell):
            module.open_memory()


def normal(parameter: Tensor, *, spread: float, generator: torch.Generator) -> None:
    """Draws a tensor in place from N(0, spread); a tensor without memory is left as it is."""
    if parameter.device.type != "meta":
        with torch.no_grad():
            parameter.normal_(0.0, spread, generator=generator)
