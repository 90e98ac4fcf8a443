"""Row 18: a file is found by its name in whichever Unicode normal form the disk has it."""

import unicodedata

import pytest

from fedjob.workspace.shard.unicode_names import existing_file, normal_form


def form(name, kind):
    return unicodedata.normalize(kind, name)


def test_ascii_names_are_their_own_normal_form():
    assert normal_form("a.png") == "a.png"
    assert normal_form(form("é", "NFD")) == "\u00e9"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_a_file_is_found_in_either_form(tmp_path, stored, asked):
    """Field nfd-names."""
    path = tmp_path / form("größe/é.png", stored)
    path.parent.mkdir()
    path.write_text("x")
    assert existing_file(tmp_path, form("größe/é.png", asked)) == path


def test_a_missing_file_is_named_as_asked_for(tmp_path):
    assert existing_file(tmp_path, "a.png") == tmp_path / "a.png"
    assert existing_file(tmp_path, "ö/é.png") == tmp_path / "ö/é.png"
