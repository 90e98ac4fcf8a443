"""One file a kind: pure functions from a job and what is known of it to Kubernetes objects.

Belongs here: what an object looks like. Does not belong here: whether and when it is wanted
(fedjob_operator.planning.plan), and any call to a cluster.
"""
