"""`spec.model`: the user's file, its class and how it starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import (
    FILE_NAME,
    REQUIREMENT,
    FilePath,
    Identifier,
    KeywordArgs,
    ModelName,
    ObjectName,
    S3Object,
    S3Source,
)
from fedjob.spec.models.lists import list_map, list_set
from fedjob.spec.models.upload import ModelUpload, UploadSource

Requirement = Annotated[str, Field(max_length=1000, pattern=REQUIREMENT)]

MAX_TEXT = 131072
"""Characters of all inline files together: with the inline model file, 1.5 MiB at most in UTF-8,
which is what etcd takes."""
ARCHIVE_SUFFIXES = (".zip", ".tar.gz", ".tgz")


class ConfigMapRef(Model):
    """A key of a ConfigMap in the job's namespace."""

    name: ObjectName = Field(description="The ConfigMap.")
    key: str = Field(
        "model_def.py",
        max_length=253,
        pattern=FILE_NAME,
        description="The key that holds the file.",
    )


class ModelSource(Model):
    """Where model_def.py comes from: exactly one of the four."""

    inline: str | None = Field(
        None, min_length=1, max_length=262144, description="The text of model_def.py itself."
    )
    config_map_ref: ConfigMapRef | None = Field(
        None, description="A ConfigMap that holds model_def.py."
    )
    uri: S3Object | None = Field(None, description="`s3://bucket/key` of model_def.py.")
    upload: UploadSource | None = Field(
        None,
        description="A model_def.py that a client sends; written by `fedjob submit` where the text "
        "is too long for `inline`.",
    )


class ConfigMapKeyRef(Model):
    """A key of a ConfigMap in the job's namespace."""

    name: ObjectName = Field(description="The ConfigMap.")
    key: str = Field(
        max_length=253, pattern=FILE_NAME, description="The key that holds the file's content."
    )


class ModelFile(Model):
    """A file or folder beside model_def.py: exactly one of text, configMapKeyRef and uri."""

    path: FilePath = Field(
        description="Where it lies, relative to model_def.py; `.` puts the content of a prefix or "
        "an archive right beside it."
    )
    text: str | None = Field(None, max_length=MAX_TEXT, description="The content itself.")
    config_map_key_ref: ConfigMapKeyRef | None = Field(
        None, description="A key of a ConfigMap that holds the content, text or binary."
    )
    uri: S3Source | None = Field(
        None,
        description="`s3://bucket/key`: an object; ending in `/`, everything under that prefix; "
        "ending in .zip, .tar.gz or .tgz, an archive that is unpacked at `path` (unless `path` has "
        "the same ending).",
    )


class ModelSpec(Model):
    """The model class, its training function and its first weights."""

    source: ModelSource = Field(
        description="Where model_def.py comes from.", examples=["{uri: s3://bucket/model_def.py}"]
    )
    class_name: ModelName | None = Field(
        None,
        description="What makes the model in model_def.py: a class (`Outer.Inner` for a nested "
        "one), a function or partial that returns it, or a name bound to it. Absent: there is no "
        "model, and the first answers of `fl_train_model(payload)` make the global weights.",
        examples=["Net"],
    )
    args: KeywordArgs = Field(
        default_factory=dict,
        description="Keyword arguments of the class or function; num_classes is added where it "
        "takes it. A mapping becomes a dataclass or pydantic model where the argument is one.",
    )
    train_function: Identifier | None = Field(
        None,
        description="The training function in model_def.py; absent: `fl_train_model`, else "
        "`fl_train`, else the generated training loop.",
    )
    checkpoint: S3Object | None = Field(
        None, description="`s3://bucket/key` of the initial weights: the global model of round 0."
    )
    files: list[ModelFile] = Field(
        default_factory=list,
        max_length=64,
        description="Modules, packages and data files beside model_def.py, on server and workers. "
        "A requirements.txt among them counts as more requirements.",
        json_schema_extra=list_map("path"),
    )
    upload: ModelUpload | None = Field(
        None,
        description="What a client uploads of the model to the job's own prefix: a checkpoint, and "
        "files that are binary or too long for the resource; written by `fedjob submit`.",
    )
    requirements: list[Requirement] = Field(
        default_factory=list,
        max_length=64,
        description="Python packages that model_def.py needs, as pip names them, with markers and "
        "`--hash`; `./x.whl` is a wheel among the files.",
        json_schema_extra=list_set(),
    )
