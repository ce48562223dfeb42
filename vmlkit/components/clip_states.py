"""CLIP's own states in the place of encoders: a linear map that starts as the identity is all that is trained of them.

# PAPER: P4 trains CLIP at a thousandth of the rate / CODE: X-CLIP's updates of it are lost in float16 -> no switch,
# because states are read from files, and CLIP stays as it is
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.components.xclip_heads import TextStates
from vmlkit.errors import ConfigError
from vmlkit.nn.similarity import resized


def identity_map(size: int, width: int, what: str) -> nn.Linear:
    """A square linear map without a bias, the identity at first.

    Raises:
        ConfigError: for states of another size than the network.
    """
    if size != width:
        sizes = f"is {width}, and the {what} have {size} dimensions"
        raise ConfigError(f"setting 'model.host.width' {sizes}: make it {size}")
    linear = nn.Linear(size, width, bias=False)
    nn.init.eye_(linear.weight)
    return linear


class ClipTexts(nn.Module):
    """Token states to text states: cut or padded to W, the sentence is the state of the end token.

    The start token, whose state is the same for every text, stays in its place and out of the mask.  Padding has no
    states, and is zero.
    """

    def __init__(self, size: int, width: int, words: int) -> None:
        super().__init__()
        self.words = words
        self.project = identity_map(size, width, "tokens")

    def forward(self, words: Float[Tensor, "N L D"], mask: Bool[Tensor, "N L"]) -> TextStates:
        """W positions of each text."""
        words, mask = resized(words, mask, self.words)
        states = self.project(words)
        last = (mask.sum(dim=1) - 1).clamp_min(0)[:, None, None].expand(-1, 1, states.shape[2])
        after_start = torch.arange(self.words, device=mask.device) > 0
        return TextStates(states.gather(1, last)[:, 0], states, mask & after_start)
