"""Form C: the training loop for those who write none."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from fedjob_runtime.training.data.dataset import ManifestDataset
from fedjob_runtime.training.errors import DatasetInvalidError
from fedjob_runtime.training.objective import ProximalTerm, loss_of, measures_of


def fl_train(
    model: nn.Module, env: Mapping[str, Any], out_dir: Path, logger: logging.Logger | None = None
) -> dict[str, Any]:
    """Trains on a shard's manifest: Adam, BCEWithLogitsLoss over multi-hot labels, MSE over floats.

    The same worker and round give the same result on the same machine: order and dropout are seeded
    by both.

    Args:
        model: [N, 3, IMG_SIZE, IMG_SIZE] in [0, 1] to logits [N, NUM_CLASSES], or to as many
            numbers as `y` has; on DEVICE, in train mode.
        env: As form B's.
        out_dir: Unused.
        logger: Gets a line for each epoch.

    Returns:
        weights, samples (lines of the manifest), metrics of the last epoch: loss and accuracy,
        or loss, mse and mae.

    Raises:
        DatasetInvalidError: The manifest cannot be used; one sample, and the model has BatchNorm.
    """
    dataset = ManifestDataset(
        env["DATA_ROOT"], env["MANIFEST_FILE"], env["NUM_CLASSES"], env["IMG_SIZE"]
    )
    loss_function = loss_of(dataset)
    seed = seed_of(env["SITE_NAME"], env["CURRENT_ROUND"])
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=env["LR"])
    proximal = ProximalTerm(model, env.get("PROXIMAL_MU", 0.0))
    metrics: dict[str, float] = {}
    for epoch in range(env["EPOCHS"]):
        order = torch.randperm(len(dataset), generator=generator)
        measures = measures_of(dataset)
        for images, labels in DataLoader(dataset, batch_sampler=batches(order, env["BATCH_SIZE"])):
            images, labels = images.to(env["DEVICE"]), labels.to(env["DEVICE"])
            optimizer.zero_grad(set_to_none=True)
            with batch_norm_hint(env, len(dataset)):
                logits = model(images)
            loss = loss_function(logits, labels)
            (loss + proximal()).backward()
            optimizer.step()
            measures.add(logits, labels, loss)
        metrics = measures.metrics()
        if logger:
            logger.info("epoch %d of %d: %s", epoch + 1, env["EPOCHS"], metrics)
    return {"weights": model.state_dict(), "samples": len(dataset), "metrics": metrics}


@contextmanager
def batch_norm_hint(env: Mapping[str, Any], samples: int) -> Iterator[None]:
    """Says what is wrong where BatchNorm has to train on a single value a channel.

    Not checked beforehand: on images of more than one pixel, BatchNorm2d trains on one sample too.

    Raises:
        DatasetInvalidError: Names the shard, or the batch size where that is the cause.
    """
    try:
        yield
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        if samples == 1:
            shard = env.get("SHARD_NAME") or "the shard"
            problem = f"{shard} has one sample, and BatchNorm cannot train on one"
            fix = "add samples to it, leave the shard out, or use nn.GroupNorm in the model"
        else:
            problem = "spec.training.batchSize is 1, and BatchNorm cannot train on one sample"
            fix = "write a larger batchSize, or use nn.GroupNorm in the model"
        raise DatasetInvalidError(problem, fix) from error


def batches(order: torch.Tensor, size: int) -> list[list[int]]:
    """Cuts an order of indices into batches of `size`.

    A last batch of one goes to the one before it: batch normalisation cannot train on a single
    sample.
    """
    parts: list[list[int]] = [part.tolist() for part in order.split(size)]
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        single = parts.pop()
        parts[-1] += single
    return parts


def seed_of(worker: str, round_number: int) -> int:
    """A seed below 2**63, the same for the same worker and round."""
    digest = hashlib.sha256(f"{worker}/{round_number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
