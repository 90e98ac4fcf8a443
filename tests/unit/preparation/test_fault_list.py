"""Faults of several checks are collected and raised together."""

import pytest

from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.preparation.fault_list import FaultList

FIRST, SECOND = Fault("a", "is odd", "mend it"), Fault("b", "is missing", "add it")


def test_nothing_is_raised_without_faults():
    faults = FaultList()
    with faults.collected():
        pass
    faults.check()
    assert len(faults) == 0


def test_faults_are_raised_in_the_order_in_which_they_were_found_each_once():
    faults = FaultList()
    faults.add("a", "is odd", "mend it")
    with faults.collected():
        raise InvalidInputError([SECOND, FIRST])
    with faults.collected():
        raise InvalidInputError([SECOND])
    with pytest.raises(InvalidInputError) as caught:
        faults.check()
    assert caught.value.faults == (FIRST, SECOND)
    assert len(faults) == 2


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    faults = FaultList()
    with faults.collected():
        (tmp_path / "absent").read_bytes()
    with faults.collected():
        raise OSError("odd")
    with pytest.raises(InvalidInputError) as caught:
        faults.check()
    absent, odd = caught.value.faults
    assert absent.field == str(tmp_path / "absent")
    assert "No such file" in absent.problem
    assert (odd.field, odd.problem) == ("file", "odd")


def test_other_errors_are_not_collected():
    faults = FaultList()
    with pytest.raises(UnavailableError), faults.collected():
        raise UnavailableError("away")
