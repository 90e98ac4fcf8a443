"""A site's images and masks as a PyTorch Dataset."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset


class Cells(Dataset):
    """Pairs of image [1, S, S] in 0..1, with its own mean removed, and mask [1, S, S] of 0 and 1.

    Args:
        folder: Holds `images/` and `masks/` with the same file names.
        flip: Whether images are turned at random, as training wants.
    """

    def __init__(self, folder, flip=False):
        self.images = sorted((Path(folder) / "images").glob("*.png"))
        self.masks = Path(folder) / "masks"
        self.flip = flip
        if not self.images:
            raise FileNotFoundError(f"{folder}: no images/*.png")

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        path = self.images[index]
        image, mask = read(path), (read(self.masks / path.name) > 0.5).float()
        image = image - image.mean()
        if self.flip:
            for axis in (1, 2):
                if torch.rand(()) < 0.5:
                    image, mask = image.flip(axis), mask.flip(axis)
        return image, mask


def read(path):
    """A grey image [1, S, S] in 0..1."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("L"))).float()[None] / 255
