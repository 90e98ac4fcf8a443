"""Pure functions from a job and its observations to Kubernetes objects, one module for each kind.

Belongs here: what an object looks like. Does not belong here: whether and when it is wanted
(`fedjob_operator.planning`), and any call to a cluster.
"""
