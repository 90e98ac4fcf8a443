"""From a job and its files to the folder that NVFlare runs.

Here: what a model file needs (read as text, never imported), what a manifest and a shard ZIP hold,
and the rendered job folder. Not here: the network, S3, torch, nvflare, and the user's code running.
"""
