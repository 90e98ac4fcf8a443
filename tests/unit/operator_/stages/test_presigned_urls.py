"""Presigned URLs: one per worker, for its own shard."""

from __future__ import annotations

import json

from fedjob_operator.stages.presigned_urls import FILES_FORMS, KeptRounds, sign_urls
from fedjob_operator.state.record import ShardPlace
from support.memory_bucket import MemoryStore


def test_each_worker_gets_the_url_of_its_shard_in_its_bucket() -> None:
    places = [
        ShardPlace(name="a.zip", bucket="jobs", key="k/a.zip", https=False),
        ShardPlace(name="b.zip", bucket="data", key="b.zip", https=False),
    ]
    urls = sign_urls(MemoryStore(), places, 1000.7, 60, ordinals={})
    assert {name: url.url for name, url in urls.items()} == {
        "worker-0": "http://store.test/jobs/k/a.zip?seconds=60",
        "worker-1": "http://store.test/data/b.zip?seconds=60",
    }
    assert {url.expires for url in urls.values()} == {1060}


def test_each_worker_gets_forms_for_the_logs_of_its_own_next_pods() -> None:
    places = [ShardPlace(name=f"{name}.zip", bucket="data", key="k") for name in ("a", "b")]
    urls = sign_urls(MemoryStore(), places, 0.0, 60, ordinals={"worker-1": 4})
    assert {worker: url.last_log for worker, url in urls.items()} == {"worker-0": 2, "worker-1": 6}
    forms = {name: json.loads(text) for name, text in urls["worker-1"].forms.items()}
    assert {name: form["fields"]["key"] for name, form in forms.items()} == {
        f"log-{start}.json": f"jobs/team/digits/files_out/logs/worker-1/{start}.log"
        for start in (4, 5, 6)
    }
    assert {form["url"] for form in forms.values()} == {"http://store.test/jobs"}
    assert {form["fields"]["most"] for form in forms.values()} == {str(8 * 1024 * 1024)}
    assert {form["fields"]["seconds"] for form in forms.values()} == {"60"}


def test_a_job_that_keeps_files_has_forms_for_its_next_rounds() -> None:
    places = [ShardPlace(name="a.zip", bucket="data", key="k")]
    kept = KeptRounds(completed=3, total=6, max_bytes=10)
    (url,) = sign_urls(MemoryStore(), places, 0.0, 60, ordinals={}, kept=kept).values()
    forms = {name: json.loads(text) for name, text in url.forms.items() if "files" in name}
    assert {name: form["fields"]["key"] for name, form in forms.items()} == {
        f"files-{number}.json": f"jobs/team/digits/files_out/files/worker-0/round-{number}.zip"
        for number in (4, 5, 6)
    }
    assert {form["fields"]["most"] for form in forms.values()} == {str(10 + 1024 * 1024)}
    assert url.last_files == 6


def test_the_rounds_with_forms_are_bounded_and_end_with_the_job() -> None:
    assert KeptRounds(0, 1000, 1).rounds() == range(1, 1 + FILES_FORMS)
    assert KeptRounds(5, 5, 1).rounds() == range(5, 6)
