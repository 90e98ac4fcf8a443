"""Lines and summaries of manifests."""

import json

from fedjob.workspace.shard.manifest import (
    scan_manifest,
)

WHERE = "shard-1.zip: manifest.ndjson"


def line(id_="a1", uri="images/a1.png", y=0, **more):
    return json.dumps({"id": id_, "uri": uri, "y": y, **more}).encode() + b"\n"


def scan(*lines, **options):
    return scan_manifest(lines, WHERE, **options)


def summary_of(where, *labels):
    lines = [line(f"s{i}", y=y) for i, y in enumerate(labels)]
    return scan_manifest(lines, where)
