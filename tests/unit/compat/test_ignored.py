"""What has no meaning here is accepted with one warning; what is unknown is refused."""

import warnings

import pytest

from fedjob.compat.ignored import check_known, warn_of_ignored
from fedjob.errors import FedjobWarning, InvalidInputError


def test_one_warning_says_why_each_changes_nothing():
    with pytest.warns(FedjobWarning) as caught:
        warn_of_ignored(["worker_ids", "max_price", "worker_ids"])
    (warning,) = caught
    text = str(warning.message)
    assert "max_price (there is nothing to pay)" in text
    assert text.count("worker_ids (a worker is started for each shard)") == 1


def test_nothing_given_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_ignored([])


def test_unknown_arguments_are_refused_all_at_once():
    with pytest.raises(InvalidInputError, match=r"(?s)f: epochs: is not.*f: wait: is not"):
        check_known(["epochs", "price", "wait"], "f")
