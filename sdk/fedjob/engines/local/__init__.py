"""The local engine: a whole run on this machine, in one folder.

Subpackages hold processes, the embedded store and results. Nothing here knows Kubernetes.
"""
