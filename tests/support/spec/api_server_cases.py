"""Where the API server and fedjob differ about a case, case by case, with the reason."""

from __future__ import annotations

_FREE = "the schema cannot look into free arguments; the operator does, and refuses the job"
API_ACCEPTS: dict[str, str] = {
    "args no keyword": _FREE,
    "args too deep": _FREE,
    "args empty name": _FREE,
    "args long list": _FREE,
    "args long text": _FREE,
    "extra of our own": _FREE,
    "extra contradicts a field": _FREE,
    "extra sets a field to what it cannot be": _FREE,
    "component args": _FREE,
}
"""Of REFUSED, what the API server accepts, and why."""

API_MENDS: dict[str, str] = {
    "batch a float": "JSON knows one kind of number: 8.0 is stored, and comes back, as 8",
}
"""Of REFUSED, what is right once the API server has stored it, and why."""

_META = "the API server decodes metadata itself, before the schema"
_JSON = "JSON has no such number: what kubectl or a client sends is not JSON"
API_MESSAGES: dict[str, tuple[str, str]] = {
    "api version missing": ("the API version in the data () does not match", _META),
    "api version old": ('FederatedJob in version "v1" cannot be handled', _META),
    "kind missing": ("Object 'Kind' is missing", _META),
    "metadata missing": (
        "metadata.name: Required value",
        "it continues with what is missing in it",
    ),
    "metadata a list": ("cannot unmarshal array into Go value of type v1.ObjectMeta", _META),
    "name a number": ("cannot unmarshal number into Go struct field ObjectMeta.name", _META),
    "label a number": ("cannot unmarshal number into Go struct field ObjectMeta.labels", _META),
    "namespace bad": ("the namespace of the provided object does not match", _META),
    "rate infinite": ("json parse error: invalid character 'I'", _JSON),
    "extra not finite": ("json parse error: invalid character 'N'", _JSON),
}
"""Of REFUSED, where the API server does not name our field: its message, and why."""

API_REFUSES: dict[str, tuple[str, str]] = {
    "namespace": (
        "the namespace of the provided object does not match",
        "the tests send every job to a namespace of their own",
    ),
    "with status": (
        'unknown field "status.anything"',
        "the operator writes the status: fedjob does not read it, the API server checks it",
    ),
}
"""Of ACCEPTED, what the API server refuses: its message, and why."""
