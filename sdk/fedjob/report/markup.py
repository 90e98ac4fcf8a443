"""HTML and SVG as values: whatever is not `Html` yet is escaped on its way in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"meta", "link", "br", "col", "rect", "line", "path", "circle", "polyline"})
"""Elements written without an end tag here: void ones of HTML, and SVG shapes without a title."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters, but tab and line ends
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the reading direction
    "\ud800-\udfff\ufffe\uffff]"  # what UTF-8 or HTML cannot carry
)


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Escapes anything that is not `Html`; what cannot be shown becomes U+FFFD."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element.

    Args:
        name: The element's name.
        children: Its content; text is escaped, `Html` is taken as it is.
        attributes: Its attributes. `class_` is written `class`, `aria_label`
            `aria-label`; True writes the bare name, None and False leave it out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Puts children one after the other."""
    return Html("".join(text(child) for child in children))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    shown = number(value) if isinstance(value, float) else value
    return f' {name}="{text(str(shown))}"'


def number(value: float) -> str:
    """A coordinate: two decimals at most, no trailing zeros, never `-0`."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown
