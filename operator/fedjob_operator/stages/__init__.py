"""What has to be ready before pods start: inputs, workspace, image, startup kits, presigned URLs.

Belongs here: the slow steps, each safe to repeat and skipped where its result is there. Does not
belong here: when a step runs and what its result is used for (fedjob_operator.planning), how
images are built (fedjob_operator.image), and objects of the cluster but for reading what a job
refers to.
"""
