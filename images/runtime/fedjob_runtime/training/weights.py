"""Weights as `{name: Tensor}`: read, checked, saved; never by unpickling objects."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fedjob.atomic_files import replacing
from fedjob_runtime.training.errors import CheckpointInvalidError
from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.weights_check import check_weights

__all__ = [
    "check_weights",
    "digest",
    "file_sha256",
    "load_checkpoint",
    "load_weights",
    "portable",
    "save_weights",
    "unnested",
]

NESTS = ("model_state", "state_dict", "weights", "model_state_dict")
"""Names under which a training script keeps the weights beside its optimizer; the last is PyTorch's
tutorial's."""

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_SAVE = "save the weights alone: torch.save(model.state_dict(), path)"


def unnested(content: object, source: str) -> dict[str, Tensor]:
    """The weights in what a file held: `{name: Tensor}`, or that under one of `NESTS`.

    Args:
        content: What was read.
        source: The file, for the error.

    Raises:
        CheckpointInvalidError: There are none, or something beside tensors is among them.
    """
    if not isinstance(content, Mapping):
        raise CheckpointInvalidError(
            f"{source} holds a {type(content).__name__}, not weights", _SAVE
        )
    nested = (content[nest] for nest in NESTS if isinstance(content.get(nest), Mapping))
    weights: Mapping[object, object] = next(nested, content)
    if not weights:
        raise CheckpointInvalidError(f"{source} holds no tensors", _SAVE)
    checked: dict[str, object] = {}
    for name, value in weights.items():
        if not isinstance(name, str) or not (isinstance(value, Tensor) or is_extra_state(name)):
            raise CheckpointInvalidError(
                f"{source}: {name!r} is a {type(value).__name__}, not a tensor",
                _SAVE,
                tensor=str(name),
            )
        checked[name] = value
    return portable(checked)


def load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Reads weights that a user gives: .safetensors, or .pt / .pth without running anything in it.

    Args:
        path: The file. Its weights may lie under `model_state`, `state_dict` or `weights`.

    Returns:
        CPU tensors by name, as `portable` makes them.

    Raises:
        CheckpointInvalidError: It cannot be read, or is not a dict of tensors. A pickled module is
            refused: unpickling one runs code.
    """
    if path.suffix == ".safetensors":
        return load_weights(path)
    if path.suffix not in _TORCH_SUFFIXES:
        raise CheckpointInvalidError(
            f"{path.name}: a weights file ends in .safetensors, .pt or .pth",
            "save it with safetensors, or with torch.save(model.state_dict(), 'init.pt')",
        )
    try:
        # torch warns of pickle protocols other than its own, whether or not it can read them.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointInvalidError(f"{path} does not exist", _SAVE + " there") from error
    except pickle.UnpicklingError as error:
        raise CheckpointInvalidError(
            f"{path.name} holds {_pickled(error)}, which is not loaded because that could run code",
            _SAVE,
        ) from error
    except MemoryError:
        raise
    # A damaged file makes the restricted unpickler fail in nearly every way there is.
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        ArithmeticError,
        AssertionError,
    ) as error:
        raise CheckpointInvalidError(
            f"{path.name} cannot be read: {type(error).__name__}: {str(error)[:200]}",
            f"it may be cut off or no weights file; {_SAVE}",
        ) from error
    return unnested(content, path.name)


def _pickled(error: pickle.UnpicklingError) -> str:
    """What the restricted unpickler stumbled on, from its message."""
    marker = "GLOBAL "
    text = str(error)
    if marker in text:
        return "a pickled " + text.split(marker, 1)[1].split()[0].rstrip(".,")
    return "pickled objects or no weights at all"


def load_weights(path: Path, *, may_be_empty: bool = False) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Args:
        path: The file.
        may_be_empty: No tensors are weights too: the global model of round 0 of a job without one.

    Raises:
        CheckpointInvalidError: It is missing or damaged, or empty where it may not be.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointInvalidError(
            f"{path.name} cannot be read: {str(error)[:200]}",
            "give a file written by safetensors.torch.save_file",
        ) from error
    if may_be_empty and not weights:
        return {}
    return unnested(weights, path.name)


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    durable: bool = False,
) -> None:
    """Writes a safetensors file that is either wholly there or not at all.

    Args:
        path: The file; its folder exists.
        weights: Tensors on any device, tied or not.
        metadata: Text to keep beside them.
        durable: Also after a power cut. Not for what is uploaded: a killed process keeps its page
            cache, and a node that lost its power starts from the store.
    """
    with replacing(path, durable=durable) as scratch:
        mode = scratch.stat().st_mode & 0o777
        save_file(portable(weights), scratch, metadata=dict(metadata) if metadata else None)
        # safetensors makes files for their owner only; in a server's pod the supervisor, which is
        # another user of the same group, reads them.
        scratch.chmod(mode)


def digest(weights: Mapping[str, object]) -> str:
    """SHA-256, hex, of names, dtypes, shapes and values, on any device and in any order."""
    total = hashlib.sha256()
    for name, tensor in sorted(portable(weights).items()):
        total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256, hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
