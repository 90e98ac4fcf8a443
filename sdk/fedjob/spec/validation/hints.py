"""A description and an example of each pattern, and a name of each type, for messages."""

from __future__ import annotations

from fedjob.spec.models import fields

TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}

PATTERN_HINTS: dict[str, tuple[str, str]] = {
    fields.JOB_NAME: ("lower-case letters, digits and `-`, beginning with a letter", "digits-1"),
    fields.DNS_LABEL: ("lower-case letters, digits and `-`", "team-a"),
    fields.DNS_SUBDOMAIN: ("a name: lower-case letters, digits, `-` and `.`", "my-name"),
    fields.IDENTIFIER: ("a Python name: letters, digits and `_`, no digit first", "Net"),
    fields.MODEL_NAME: (
        "a Python name: letters, digits and `_`, no digit first; `.` before a nested class",
        "Net",
    ),
    fields.FILE_PATH: (
        "a relative path: letters, digits, `.`, `_`, `-`, with `/` between folders, without `..`",
        "helpers.py",
    ),
    fields.S3_SOURCE: ("the URI of an S3 object, prefix or archive", "s3://bucket/code/"),
    fields.CLASS_PATH: ("a module and a class", "model_def.MyClass"),
    fields.FILE_NAME: (
        "a file name: letters, digits, `.`, `_`, `-`",
        "model_def.py",
    ),
    fields.LABEL: ("letters, digits, `.`, `_` and `-`", "rt_job"),
    fields.SHARD_NAME: ("a file name that ends in .zip, without folders", "shard-1.zip"),
    fields.S3_OBJECT: ("the URI of an S3 object", "s3://bucket/path/file"),
    fields.S3_PREFIX: ("the URI of an S3 prefix", "s3://bucket/path/"),
    fields.BUCKET: (
        "a bucket: 3 to 63 lower-case letters, digits, `-`, `.`",
        "my-bucket",
    ),
    fields.KEY_PREFIX: ("a key prefix: letters, digits, `.`, `_`, `-` and `/`", "team-a/"),
    fields.HTTP_URL: ("an http or https URL", "https://store.example:9000"),
    fields.REGION: ("a region's name", "us-east-1"),
    fields.IMAGE: ("the reference of an image", "team/runtime:1.0"),
    fields.REQUIREMENT: (
        "one package as pip names it, without options or line breaks",
        "scikit-learn>=1.5,<2",
    ),
    fields.QUANTITY: ("a Kubernetes quantity", "500m` or `4Gi"),
    fields.SHA256: ("a SHA-256 checksum: 64 lower-case hexadecimal digits", "0" * 64),
}
"""By pattern: a description and an example; a test requires both for every pattern."""
