"""The model, the shards and the finished run of the SDK's tests."""

from support.sdk.fixtures import finished, job, model, out, shards

__all__ = ["finished", "job", "model", "out", "shards"]
