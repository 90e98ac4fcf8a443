"""Reading values of a job that may be faulty."""

import pytest

from fedjob.spec.validation.reader import Reader, UnreadableError

DATA = {"a": {"b": [1, {"c": None}]}, "d": "text"}


def test_values_and_defaults():
    job = Reader(DATA)
    assert job.get(("a", "b", 0), int) == 1
    assert job.get(("a", "b", 1, "c"), int, 7) == 7
    assert job.get(("a", "x", "y"), int, 8) == 8
    assert job.get(("x",), int) is None
    assert job.has(("d",))
    assert not job.has(("e",))
    assert job.size(("a", "b")) == 2
    assert job.size(("a", "x")) == 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [(("d",), int), (("d", "e"), str), (("a", "b", "c"), str), (("a", "b"), dict)],
)
def test_a_value_of_another_kind_is_unreadable(path, kind):
    with pytest.raises(UnreadableError):
        Reader(DATA).get(path, kind)


@pytest.mark.parametrize("faulty", [("a",), ("a", "b"), ("a", "b", 0)])
def test_what_was_refused_is_unreadable_and_what_is_in_it(faulty):
    with pytest.raises(UnreadableError):
        Reader(DATA, [faulty]).get(("a", "b", 0), int)
    assert Reader(DATA, [("a", "b", 1)]).get(("a", "b", 0), int) == 1
