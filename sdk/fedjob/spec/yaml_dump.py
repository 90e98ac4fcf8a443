"""Plain data to YAML that fedjob and kubectl read as the same."""

from __future__ import annotations

from typing import Any

import yaml

from fedjob.spec.yaml_scalars import resolve

_BREAKS = frozenset("\x85\u2028\u2029")


def dump_yaml(data: object) -> str:
    """YAML in the order of the data, without aliases."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _BREAKS & set(text):
        # YAML folds these line breaks of Unicode like newlines, and reads NEL back as one.
        style = '"'
    elif "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
