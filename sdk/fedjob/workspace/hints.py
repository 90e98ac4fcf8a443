"""Probable mistakes of a job that do not stop it: `fedjob validate` and the operator show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedjob.spec.env_names import LATER
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.manifest_use import ManifestUse, manifest_use
from fedjob.workspace.shard.archive import ShardInfo
from fedjob.workspace.source.model_file import SourceInfo


def job_hints(job: FederatedJob, info: SourceInfo, shards: Sequence[ShardInfo]) -> list[str]:
    """The hints about the model file, the shards and the hyperparameters.

    Modules that are missing have hints of their own, see `missing_module`: only the machine that
    has the author's folder knows whether they lie there.

    Args:
        job: The job.
        info: Its model file.
        shards: The shards that could be read, the validation shard among them.
    """
    use, validation = manifest_use(job, info), job.spec.shards.validation
    return [
        *info.hints,
        *(hint for shard in shards for hint in _shard_hints(shard, use, validation)),
        *(_one_sample_hints(shards, validation) if info.batch_norm and use.generated else ()),
        *_env_hints(job),
    ]


def missing_module(name: str) -> str:
    """The hint about a module that neither the image nor the job's files have."""
    return (
        f"model_def.py imports {name}, which neither the runtime image nor the job's files "
        f"have; ship {name}.py beside it (--model-file DIR, or spec.model.files), or add "
        "its package to spec.model.requirements"
    )


def _shard_hints(shard: ShardInfo, use: ManifestUse, validation: str | None) -> Iterator[str]:
    if shard.not_an_image and shard.name == validation and use.validation:
        yield (
            f"{shard.name}: {shard.not_an_image} is not an image, and the built-in "
            "evaluation reads images; write fl_validate(model, env, out_dir) into the "
            "model file, or drop spec.shards.validation"
        )
    if shard.has_manifest and shard.manifest_faults:
        yield f"{shard.manifest_faults[0]} (only your own code reads this manifest)"


def _one_sample_hints(shards: Sequence[ShardInfo], validation: str | None) -> Iterator[str]:
    """Batch normalisation has no variance over one sample: torch raises ValueError."""
    for shard in shards:
        one = shard.manifest is not None and shard.manifest.samples == 1
        if one and shard.name != validation:
            yield (
                f"{shard.name} has one sample, and BatchNorm cannot train on one: add samples, or "
                "use GroupNorm"
            )


def _env_hints(job: FederatedJob) -> Iterator[str]:
    """Entries of `extra` that replace what fedjob sets: meant in few jobs but old ones."""
    rounds = job.spec.federation.num_rounds
    for name, value in job.spec.training.extra.items():
        if name not in LATER or (name == "NUM_ROUNDS" and value == rounds):
            continue
        own = f", which is {rounds}" if name == "NUM_ROUNDS" else ""
        yield (
            f"spec.training.extra.{name} is {value!r} and replaces fedjob's own env"
            f'["{name}"]{own}; remove it, unless that is meant'
        )
