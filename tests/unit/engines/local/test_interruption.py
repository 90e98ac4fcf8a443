"""Stopping a run: by signal in the main thread, by request in any other."""

import pytest

from fedjob.engines.local.interruption import Interrupt, Interruption


def test_request_is_raised_once_by_the_next_check():
    interruption = Interruption()
    interruption.check()
    interruption.request()
    with pytest.raises(Interrupt, match="request"):
        interruption.check()
    interruption.check()


def test_request_does_not_end_the_clean_up():
    interruption = Interruption()
    interruption.close()
    interruption.request()
    interruption.check()
    assert not interruption.hurry
