"""A worker: prepares its shard, runs NVFlare's client, trains in that client's job processes."""
