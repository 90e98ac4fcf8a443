"""The job's image: the base and the job folder, in a registry, named by digest.

Belongs here: layers, manifests, tags, and the two ways to push them, `append` (over the OCI
distribution API) and `docker` (through a daemon). Does not belong here: what the job folder holds
(fedjob.workspace), reading Secrets or writing status (the reconcile does both), and base images
themselves (images/).
"""
