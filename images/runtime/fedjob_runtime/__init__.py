"""What runs in a job's server and worker processes.

Here: the supervisor and its segments (`server`), the shard and the client (`worker`), and what runs
the user's code (`training`). Not here: Kubernetes, image building and the command line; the engines
start these processes and read `/status`.
"""
