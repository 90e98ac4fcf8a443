"""The contents of Secrets."""

from __future__ import annotations

import base64
import json

from fedjob_operator.naming import annotation
from fedjob_operator.resources.secrets import (
    kit_secret,
    last_log,
    needs_pull_secret,
    pull_secret,
    url_expires,
    url_secret,
)
from fedjob_operator.state.observed import SignedUrl
from support.operator.samples import (
    NOW,
    a_job,
)


def test_contents_of_secrets() -> None:
    job = a_job()
    kit = kit_secret(job, "server", "set-7", {"server.key": b"\x00key"})
    assert base64.b64decode(kit["data"]["server.key"]) == b"\x00key"
    assert annotation(kit, "fedjob.dev/kits") == "set-7"
    assert "fedjob.dev/worker" not in kit["metadata"]["labels"]
    url = url_secret(job, "worker-0", SignedUrl("http://u", "jobs/k", NOW + 60))
    assert base64.b64decode(url["data"]["url"]) == b"http://u"
    assert url["metadata"]["labels"]["fedjob.dev/worker"] == "worker-0"
    assert url_expires(url, "jobs/k") == NOW + 60
    assert url_expires(url, "jobs/other") == 0
    assert url_expires(None, "jobs/k") == 0
    url["metadata"]["annotations"]["fedjob.dev/expires"] = "soon"
    assert url_expires(url, "jobs/k") == 0
    assert "http://u" not in repr(SignedUrl("http://u", "k", 0))
    assert last_log(url) == -1
    with_forms = url_secret(job, "worker-0", SignedUrl("u", "k", 0, {"log-3.json": "{}"}, 3))
    assert base64.b64decode(with_forms["data"]["log-3.json"]) == b"{}"
    assert last_log(with_forms) == 3
    assert last_log(None) == -1


LOGIN = json.dumps({"auths": {"registry.fedjob-system.svc:5000": {"auth": "Zjpw"}}})


def test_nodes_get_the_login_of_the_operators_registry_for_its_images_only() -> None:
    assert needs_pull_secret("registry.fedjob-system.svc:5000/jobs@sha256:1", LOGIN)
    assert not needs_pull_secret("registry.test/jobs@sha256:1", LOGIN)
    assert not needs_pull_secret("registry.fedjob-system.svc:5000/jobs@sha256:1", "")
    secret = pull_secret(a_job(), LOGIN)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"]["name"] == "digits-pull"
    assert base64.b64decode(secret["data"][".dockerconfigjson"]).decode() == LOGIN
