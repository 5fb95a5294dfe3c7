"""Linear layers on a CPU through oneDNN, for inference in fp32.

torch multiplies fp32 matrices with MKL, which on AMD processors reaches about three quarters of what oneDNN
does; both are in every x86 build of torch. The operator is the one that torch's own compiler emits for linear
layers. If it is missing, layers stay as they are.
"""

import torch


class OneDnnLinear(torch.nn.Module):
    """A linear layer with the weights of another; no gradients."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Like `torch.nn.Linear`, up to the rounding of sums in another order."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - see the module's docstring
            inputs, self.weight, self.bias, "none", [], ""
        )
        return outputs


def use_onednn(model: torch.nn.Module) -> None:
    """Replace the linear layers of a frozen fp32 model on a CPU; any other model is left as it is."""
    first = next(model.parameters())
    if first.device.type != "cpu" or first.dtype != torch.float32 or not _available():
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(parent, name, OneDnnLinear(child))


def _available() -> bool:
    return torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # noqa: SLF001
