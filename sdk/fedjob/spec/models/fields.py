"""The kinds of value that several parts of the spec share, each bounded and with a pattern.

A pattern here is valid in Rust (pydantic), in RE2 (the API server) and means the same in both: no
lookahead, no back reference.
"""

from __future__ import annotations

import keyword
import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
JOB_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
MODEL_NAME = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
CLASS_PATH = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"
FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"
FILE_PATH = (
    r"^(\.|\.?[A-Za-z0-9_][A-Za-z0-9._+@=-]*(/\.?[A-Za-z0-9_][A-Za-z0-9._+@=-]*)*)$"  # or the root
)
SHARD_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*\.zip$"
S3_OBJECT = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.*[^/]$"
S3_SOURCE = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$"
S3_PREFIX = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"
BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
KEY_PREFIX = r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9._-])?/?$"
REGION = r"^[a-z0-9-]+$"
HTTP_URL = r"^https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(/.*)?$"
IMAGE = r"^[a-z0-9][A-Za-z0-9._:/@-]*$"
REQUIREMENT = (
    r"^(\./[A-Za-z0-9_./+-]*[A-Za-z0-9_+-]\.whl"  # a wheel among the files of the model
    r"|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"  # the distribution
    r"(\[[A-Za-z0-9._, -]*\])?"  # extras
    r"( *(===|==|~=|!=|<=|>=|<|>) *[A-Za-z0-9.*+!_-]+"  # a version
    r"( *, *(===|==|~=|!=|<=|>=|<|>) *[A-Za-z0-9.*+!_-]+)*"  # and more of them
    r"| *@ *https://[^ \r\n]+)?"  # or where it is
    r"( *;[A-Za-z0-9 ._()'\"<>=!~,+-]+)?)"  # a marker
    r"( +--hash=sha(256|384|512):[0-9a-f]{64,128})*$"
)
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
SHA256 = r"^[0-9a-f]{64}$"


def _number_as_text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _check_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_node(value, depth=0)
    return value


def _check_node(value: JsonValue, depth: int) -> None:
    if depth > 8:
        raise PydanticCustomError("json_depth", "is nested more than 8 deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not key or len(key) > 128:
                raise PydanticCustomError("json_key", "has an empty or overlong name")
            _check_node(item, depth + 1)
    elif isinstance(value, list):
        if len(value) > 4096:
            raise PydanticCustomError("json_list", "holds a list of more than 4096 items")
        for item in value:
            _check_node(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("json_number", "holds a number that is not finite")
    elif isinstance(value, str) and len(value) > 8192:
        raise PydanticCustomError("json_string", "holds a string of more than 8192 characters")


def _check_keywords(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in value:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise PydanticCustomError("keyword_name", "`{name}` names no argument", {"name": name})
    return value


Quantity = Annotated[
    str,
    BeforeValidator(_number_as_text),
    Field(max_length=32, pattern=QUANTITY),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY,
        }
    ),
]
"""A Kubernetes quantity, `500m`, `2` or `4Gi`; always text in Python, int or text in YAML."""

JsonObject = Annotated[
    dict[str, JsonValue],
    Field(max_length=64),
    AfterValidator(_check_json),
    WithJsonSchema(
        {"type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": True}
    ),
]
"""Free arguments: JSON values, at most 64 names and 8 levels."""

KeywordArgs = Annotated[JsonObject, AfterValidator(_check_keywords)]
"""Free arguments that are passed by keyword."""

LabelValue = Annotated[str, Field(max_length=63)]
NodeSelector = Annotated[dict[str, LabelValue], Field(max_length=16)]
FilePath = Annotated[str, Field(min_length=1, max_length=255, pattern=FILE_PATH)]
Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=IDENTIFIER)]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=MODEL_NAME)]
ClassPath = Annotated[str, Field(max_length=200, pattern=CLASS_PATH)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
S3Object = Annotated[str, Field(max_length=1024, pattern=S3_OBJECT)]
S3Source = Annotated[str, Field(max_length=1024, pattern=S3_SOURCE)]
S3Prefix = Annotated[str, Field(max_length=1024, pattern=S3_PREFIX)]
ShardName = Annotated[str, Field(max_length=128, pattern=SHARD_NAME)]
