"""L_align: queries say of a prompt what a text tower's tokens say, so that a denoiser which reads
the tower can be driven by them (GILL, Koh et al. 2023, arXiv 2305.17216).
"""

import torch.nn.functional as F
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.shapes import Float, Scalar


def text_alignment_loss(
    states: Float[Tensor, "batch queries width"],
    targets: Float[Tensor, "batch tokens width"],
    mask: Float[Tensor, "batch tokens"],
) -> Scalar:
    """Mean square between the k-th query and the k-th token; queries after the last token are as
    it.

    Args:
        states: Of the queries, as a denoiser would attend to them.
        targets: The text tower's last hidden states, which carry no gradient.
        mask: 1 for tokens that are there, 0 for padding after them.

    Raises:
        MuseError: A prompt has more tokens than there are queries.
    """
    count, longest = states.shape[1], int(mask.sum(1).max())
    if longest > count:
        raise MuseError(
            f"A prompt has {longest} tokens and there are {count} queries, which are to say what "
            f"they say: give drawing_connector.queries={longest} or more."
        )
    last = mask.sum(1).long() - 1
    places = last.new_tensor(range(count)).expand(len(last), -1).minimum(last[:, None])
    wanted = targets.detach().gather(1, places[..., None].expand(-1, -1, targets.shape[-1]))
    return F.mse_loss(states.float(), wanted.float())
