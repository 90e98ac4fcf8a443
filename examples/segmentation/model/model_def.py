"""Cells in microscope images: a small U-Net, a Dataset of our own, Dice."""

import torch
from cells import Cells
from losses import dice, dice_loss
from torch import nn
from torch.utils.data import DataLoader


def block(inputs, outputs):
    """Two convolutions. GroupNorm, because sites differ in BatchNorm's statistics."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Images [N, 1, S, S] to logits [N, 1, S, S]; S is a multiple of 4."""

    def __init__(self, width=8):
        super().__init__()
        self.down_1, self.down_2 = block(1, width), block(width, 2 * width)
        self.middle = block(2 * width, 4 * width)
        self.up_2, self.up_1 = block(6 * width, 2 * width), block(3 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, images):
        fine = self.down_1(images)
        coarse = self.down_2(nn.functional.max_pool2d(fine, 2))
        x = self.middle(nn.functional.max_pool2d(coarse, 2))
        x = self.up_2(torch.cat([nn.functional.interpolate(x, scale_factor=2), coarse], 1))
        x = self.up_1(torch.cat([nn.functional.interpolate(x, scale_factor=2), fine], 1))
        return self.out(x)


def fl_train(model, env, out_dir, logger=None):
    torch.manual_seed(env["CURRENT_ROUND"])
    cells = Cells(env["DATA_ROOT"], flip=True)
    loader = DataLoader(cells, batch_size=env["BATCH_SIZE"], shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=env["LR"])
    for _ in range(env["EPOCHS"]):
        total = 0.0
        for images, masks in loader:
            loss = dice_loss(model(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(images)
    return {
        "weights": model.state_dict(),
        "samples": len(cells),
        "metrics": {"loss": total / len(cells)},
    }


def fl_validate(model, env, out_dir, logger=None):
    images, masks = next(iter(DataLoader(Cells(env["DATA_ROOT"]), batch_size=1000)))
    return {"dice": dice((model(images) > 0).float(), masks).item()}
