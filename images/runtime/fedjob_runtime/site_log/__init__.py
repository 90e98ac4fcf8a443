"""The log of a server or worker, kept beside the container's own, so that it outlives the pod.

Only in pods: on one machine the local engine writes each site's log to OUT/logs/. Standard library
only, since it must work in a process whose other parts have failed.
"""
