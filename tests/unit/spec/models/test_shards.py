"""`spec.shards`: which shard each worker gets."""

from fedjob.spec import ShardsSpec


def test_workers_get_shards_by_file_name_sort_without_the_validation_shard():
    """Row 37."""
    shards = ShardsSpec(validation="b.zip")
    assert shards.for_workers(["c.zip", "b.zip", "a10.zip", "a9.zip"]) == [
        "a10.zip",
        "a9.zip",
        "c.zip",
    ]
