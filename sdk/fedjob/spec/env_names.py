"""Names in the training function's `env` that `spec.training.extra` cannot freely use."""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "EPOCHS": "local_epochs",
    "LOCAL_EPOCHS": "local_epochs",
    "local_epochs": "local_epochs",
    "BATCH_SIZE": "batch_size",
    "batch_size": "batch_size",
    "LR": "learning_rate",
    "LEARNING_RATE": "learning_rate",
    "learning_rate": "learning_rate",
    "NUM_CLASSES": "num_classes",
    "num_classes": "num_classes",
    "IMG_SIZE": "img_size",
    "img_size": "img_size",
    "MANIFEST_FILE": "manifest_file",
    "manifest_file": "manifest_file",
}
"""Names that set a field of `spec.training`, with the field."""

OWN = frozenset(["CURRENT_ROUND", "DATA_ROOT", "DEVICE", "JOB_ID", "SITE_NAME"])
"""Names that fedjob alone sets; `extra` with one of them is refused."""

LATER = frozenset(["NUM_CLIENTS", "NUM_ROUNDS", "PROXIMAL_MU", "SHARD_NAME", "STATE_DIR"])
"""Names that fedjob has set since 0.2. Stored jobs may have them in `extra`, and their code expects
that value: it replaces fedjob's own."""
