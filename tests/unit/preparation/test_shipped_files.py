"""Which files the resource holds, and which travel beside it."""

from fedjob.preparation.shipped_files import shipped


def test_small_texts_are_inline_and_the_rest_is_attached():
    files = {
        "b.txt": b"bb",
        "a.txt": b"a",
        "large.txt": b"x" * 50,
        "binary": b"\xff",
        "bell.txt": b"\x07",
        "carriage.txt": b"a\r\nb",
    }
    found = shipped(files, most=10)
    assert [(file.path, file.text) for file in found.inline] == [("a.txt", "a"), ("b.txt", "bb")]
    assert set(found.attached) == {"large.txt", "binary", "bell.txt", "carriage.txt"}


def test_a_resource_holds_a_bounded_number_of_files():
    found = shipped({f"{number}.txt": b"a" for number in range(70)})
    assert len(found.inline) == 64
    assert len(found.attached) == 6
