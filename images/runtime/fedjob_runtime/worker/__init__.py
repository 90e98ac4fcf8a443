"""A worker: prepares its shard, runs NVFlare's client, and trains in that client's job processes."""
