"""What runs in a job's server and worker processes.

Here: the supervisor and its segments (`server`), the shard and the client (`worker`), and what runs
the user's code (`training`). Not here: Kubernetes, image building and the command line; the engines
start these processes and read `/status`.
"""

import os

# By default gRPC's fork handler runs in every process that training code forks, such as DataLoader
# workers, and calls shutdown() on inherited sockets, which closes the parent's connections. gRPC
# reads this once, when it is first used.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
