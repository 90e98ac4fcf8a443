"""The slow work before pods start: inputs, workspace, image, startup kits, presigned URLs.

Belongs here: stages, each idempotent and skipped if its result exists. Does not belong here: when a
stage runs and how its result is used (fedjob_operator.planning), how images are built
(fedjob_operator.image), and cluster objects, except reading what a job refers to.
"""
