"""How well a mask was found: Dice, as a loss and as a metric."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def dice(found, mask):
    """2 |A and B| / (|A| + |B|) over a batch, in 0..1; 1 where both are empty."""
    overlap = 2 * (found * mask).sum()
    size = found.sum() + mask.sum()
    return torch.where(size > 0, overlap / size.clamp_min(1), torch.ones(()))


def dice_loss(logits, mask):
    """Cross-entropy per pixel, which has a gradient everywhere, and 1 - Dice, which is the goal."""
    soft = torch.sigmoid(logits)
    return binary_cross_entropy_with_logits(logits, mask) + 1 - dice(soft, mask)
