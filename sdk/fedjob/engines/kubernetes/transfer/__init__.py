"""Shards to the store and results from it, by presigned requests: for people without its keys.

Here belongs the client's half: which bytes travel when, checksums, retries, resumption, progress.
What the presigned requests are and how they are sealed is `fedjob.protocol.transfer`; who signs
them is the operator. Nothing here knows keys of a store.
"""
