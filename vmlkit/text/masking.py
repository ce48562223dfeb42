"""Choosing the words that a reconstructor has to fill in, for a whole batch at once."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def draw_masked_words(
    probabilities: Float[Tensor, "B L"], word_mask: Bool[Tensor, "B L"], generator: torch.Generator, one_in: int = 3
) -> Bool[Tensor, "B L"]:
    """Draw ``max(l // one_in, 1)`` of the ``l`` words of each sentence, without replacement.

    The words with the highest ``log p_i + G_i``, ``G_i`` independent Gumbel variables, are distributed exactly as
    words drawn one after another with probabilities proportional to ``p`` among those not yet drawn (Yellott 1977).
    CNM, CPL and PPS draw them in a Python loop over the batch; this waits for no device, keeps every shape static
    and also runs on the meta device.

    Args:
        probabilities: probability of each word, zero on padding (need not sum to one).
        word_mask: ``True`` on words.
        generator: source of the draws.  They are made on its device and then moved, so a generator on the CPU
            gives the same words on every device.
        one_in: a third of the words in every released program; 1 draws all of them.

    Returns:
        ``True`` on the drawn words; never on padding.
    """
    uniform = torch.rand(probabilities.shape, generator=generator, device=generator.device).to(probabilities.device)
    # -log(1 - u) is never infinite for u in [0, 1), so no word can tie with padding
    gumbel = -torch.log(-torch.log1p(-uniform))
    log_p = probabilities.float().clamp_min(torch.finfo(torch.float32).tiny).log()
    score = torch.where(word_mask, log_p + gumbel, -torch.inf)
    rank = score.argsort(dim=1, descending=True).argsort(dim=1)
    wanted = (word_mask.sum(dim=1, keepdim=True) // one_in).clamp_min(1)
    return (rank < wanted) & word_mask
