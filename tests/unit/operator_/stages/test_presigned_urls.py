"""Presigned URLs: one per worker, for its own shard."""

from __future__ import annotations

from fedjob_operator.stages.presigned_urls import sign_urls
from fedjob_operator.state.record import ShardPlace
from support.memory_bucket import MemoryStore


def test_each_worker_gets_the_url_of_its_shard_in_its_bucket() -> None:
    places = [
        ShardPlace(name="a.zip", bucket="jobs", key="k/a.zip", https=False),
        ShardPlace(name="b.zip", bucket="data", key="b.zip", https=False),
    ]
    urls = sign_urls(MemoryStore(), places, 1000.7, 60)
    assert {name: url.url for name, url in urls.items()} == {
        "worker-0": "http://store.test/jobs/k/a.zip?seconds=60",
        "worker-1": "http://store.test/data/b.zip?seconds=60",
    }
    assert {url.expires for url in urls.values()} == {1060}
