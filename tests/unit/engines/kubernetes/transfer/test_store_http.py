"""Presigned requests: what is tried again, what is not, and what is checked."""

import threading
from functools import partial

import pytest

from fedjob.engines.kubernetes.transfer.errors import OfferExpiredError, StoreAnswerError
from fedjob.engines.kubernetes.transfer.store_http import ATTEMPTS, StoreHttp
from support.cluster.fake_store import StoreFault, fake_store


@pytest.fixture
def store():
    with fake_store() as found:
        yield found


@pytest.fixture
def http():
    with StoreHttp(parallel=2, sleep=lambda _: None) as found:
        yield found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def put(http, store, file, moved=lambda _: None, **more):
    http.put(
        store.url("a"), {}, partial(open, file, "rb"), offset=256, length=512, moved=moved, **more
    )


def test_range_of_a_file_arrives(http, store, file):
    put(http, store, file)
    assert store.objects["a"] == bytes(range(256)) * 2


def test_large_body_is_streamed(http, store, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * 3_000_000)
    steps = []
    http.put(
        store.url("a"),
        {},
        partial(open, path, "rb"),
        offset=0,
        length=3_000_000,
        moved=steps.append,
    )
    assert len(store.objects["a"]) == 3_000_000
    assert sum(steps) == 3_000_000
    assert len(steps) > 3


@pytest.mark.parametrize(
    "fault",
    [
        StoreFault("a", 503, times=3),
        StoreFault("a", 429),
        StoreFault("a", 0, times=2),
        StoreFault("a", flip=True),
    ],
    ids=["503", "429", "broken", "corrupted in transit"],
)
def test_faults_that_pass_are_tried_again_and_counted_once(http, store, file, fault):
    store.faults.append(fault)
    steps = []
    put(http, store, file, steps.append)
    assert store.objects["a"] == bytes(range(256)) * 2
    assert sum(steps) == 512


def test_url_that_is_not_accepted_asks_for_another_offer(http, store, file):
    store.valid = {"2"}
    with pytest.raises(OfferExpiredError, match="403"):
        put(http, store, file)
    assert len(store.asked) == 1


def test_upload_that_the_store_has_forgotten_asks_for_another_offer(http, store, file):
    store.faults.append(StoreFault("a", 404, b"<Code>NoSuchUpload</Code>"))
    with pytest.raises(OfferExpiredError):
        put(http, store, file)


def test_refusal_is_not_tried_again(http, store, file):
    store.faults.append(StoreFault("a", 400, b"<Code>EntityTooLarge</Code>"))
    with pytest.raises(StoreAnswerError, match="EntityTooLarge"):
        put(http, store, file)
    assert len(store.asked) == 1


def test_store_that_stays_away_is_named_and_nothing_counts(http, store, file):
    store.faults.append(StoreFault("a", 503, times=100))
    steps = []
    with pytest.raises(StoreAnswerError, match=f"127.0.0.1:{store.port} fails again and again"):
        put(http, store, file, steps.append)
    assert len(store.asked) == ATTEMPTS
    assert sum(steps) == 0


def test_nothing_is_sent_after_a_stop(store, file):
    stopped = threading.Event()
    stopped.set()
    store.faults.append(StoreFault("a", 503, times=100))
    with (
        StoreHttp(parallel=1, sleep=lambda _: None, stopped=stopped) as http,
        pytest.raises(StoreAnswerError),
    ):
        put(http, store, file)
    assert store.objects == {}
    assert len(store.asked) <= 1


def test_other_bytes_than_were_sent_are_noticed_by_the_etag(http, store, file, monkeypatch):
    wrong = ['"' + "0" * 32 + '"']
    right = type(store).etag
    monkeypatch.setattr(
        type(store), "etag", lambda self, path: wrong.pop() if wrong else right(self, path)
    )
    put(http, store, file)
    assert len(store.asked) == 2


def test_get_continues_from_a_byte(http, store):
    store.objects["a"] = b"0123456789"
    with http.get(store.url("a"), first=4, etag=store.etag("a")) as answer:
        assert answer.read() == b"456789"


def test_get_of_a_replaced_object_asks_for_another_offer(http, store):
    store.objects["a"] = b"0123456789"
    with (
        pytest.raises(OfferExpiredError, match="412"),
        http.get(store.url("a"), first=4, etag='"old"'),
    ):
        pass


def test_tunnel_keeps_the_host_that_was_signed(store):
    store.objects["a"] = b"x"
    url = store.url("a").replace(f"127.0.0.1:{store.port}", "store.system.svc:8333")
    with (
        StoreHttp(parallel=1, local_port=store.port) as http,
        http.get(url) as answer,
    ):
        assert answer.read() == b"x"
    assert store.hosts == {"store.system.svc:8333"}
