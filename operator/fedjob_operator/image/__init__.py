"""The job's image: base image and job folder, in a registry, referenced by digest.

Belongs here: layers, manifests, tags, the registry client, and the builders `append` (over the OCI
distribution API) and `docker` (with a Docker daemon). Does not belong here: the content of the job
folder (fedjob.workspace), reading Secrets (fedjob_operator.stages), writing status
(fedjob_operator.controller), and the base images themselves (images/).
"""
