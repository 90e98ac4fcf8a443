"""What a YAML syntax error means to the person who wrote the file."""

from __future__ import annotations

import yaml

from fedjob.errors import Fault


def syntax_fault(error: yaml.YAMLError, source: str) -> Fault:
    """The fault of a file that PyYAML cannot parse.

    Args:
        error: As PyYAML raised it.
        source: What to call the file.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        problem = error.problem or "is no YAML"
        return Fault(
            f"{source} line {mark.line + 1}, column {mark.column + 1}", problem, _fix(problem)
        )
    if isinstance(error, yaml.reader.ReaderError):
        character = error.character
        code = character if isinstance(character, int) else ord(character)
        return Fault(source, f"holds the character U+{code:04X}", "save it as plain UTF-8 text")
    return Fault(source, "is no YAML", "indent by spaces and write `name: value`")


def _fix(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces; YAML takes no tabs"
    if "mapping values are not allowed" in problem:
        return "put text that holds `: ` in quotes, and indent the fields of a section equally"
    if "cannot start any token" in problem:
        return "put text that begins with a special character in quotes"
    return "check the indentation, the quotes and the brackets from there upwards"
