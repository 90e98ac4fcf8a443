"""The protocol of /status, the same for every reader."""

from fedjob.protocol.server_status import ServerStatus
from fedjob.protocol.status_poll import Follower, parse, query


def status(attempt=1, sequence=1):
    return ServerStatus(attempt=attempt, sequence=sequence)


def test_first_request_does_not_wait_and_later_ones_do():
    follower = Follower()
    assert follower.query(20) == query(None, 20) == "wait=0"
    assert follower.is_new(status(sequence=7))
    assert follower.query(20) == query(7, 20) == "since=7&wait=20"
    assert query(7, 0.5) == "since=7&wait=0.5"


def test_the_same_answer_again_is_not_new():
    follower = Follower()
    assert follower.is_new(status(sequence=3))
    assert not follower.is_new(status(sequence=3))
    assert follower.is_new(status(sequence=4))


def test_restarted_server_is_new_although_it_counts_from_zero_again():
    follower = Follower()
    follower.is_new(status(attempt=1, sequence=3))
    follower.lost()
    assert follower.query(20) == "wait=0", "it must not wait for a sequence above the old one"
    assert follower.is_new(status(attempt=2, sequence=3))


def test_answer_that_is_not_a_status_is_none():
    assert parse(b"<html>") is None
    assert parse('{"sequence": -1}') is None
    assert parse(status(sequence=5).model_dump_json(by_alias=True)) == status(sequence=5)
