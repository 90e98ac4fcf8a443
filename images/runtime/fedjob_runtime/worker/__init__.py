"""A worker: prepares its shard, runs NVFlare's client, trains in that client's job processes.

Belongs here: what touches NVFlare's client side and the worker's disk. Does not belong here: how
the user's code is called and checked (`fedjob_runtime.training`, which knows no NVFlare), who takes
part and when a round is over (`fedjob_runtime.server`).
"""
