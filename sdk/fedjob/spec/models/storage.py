"""`spec.storage`: the bucket that holds the job's objects."""

from __future__ import annotations

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import BUCKET, HTTP_URL, KEY_PREFIX, REGION, ObjectName


class SecretRef(Model):
    """A Secret in the job's namespace."""

    name: ObjectName = Field(description="Holds AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")


class StorageSpec(Model):
    """An S3 bucket; each absent field is the operator's."""

    bucket: str | None = Field(None, max_length=63, pattern=BUCKET, description="The bucket.")
    prefix: str | None = Field(
        None,
        max_length=512,
        pattern=KEY_PREFIX,
        description="Put before `jobs/<namespace>/<name>/`; no leading slash.",
    )
    endpoint: str | None = Field(
        None, max_length=256, pattern=HTTP_URL, description="http(s) URL; absent: the operator's."
    )
    region: str | None = Field(
        None, max_length=64, pattern=REGION, description="Such as `us-east-1`."
    )
    secret_ref: SecretRef | None = Field(None, description="Credentials; absent: the operator's.")
