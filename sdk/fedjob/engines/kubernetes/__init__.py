"""Runs on a cluster: a FederatedJob resource, and the API server as the only way to it.

Here belongs what a person with a kubeconfig does with FederatedJobs: create, watch, end, read logs,
send shards and fetch results. What happens inside the cluster belongs to the operator, not here;
nothing in this package prints.
"""
