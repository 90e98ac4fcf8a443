"""The operator: observe, plan (pure), apply. kopf only watches.

Belongs here: what a cluster needs to run a FederatedJob. Does not belong here: what a job is
(fedjob.spec), what its folder holds (fedjob.workspace), how it trains (fedjob_runtime).
"""
