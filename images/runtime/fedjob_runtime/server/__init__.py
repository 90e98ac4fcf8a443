"""The server of a job: a supervisor, and an agent with NVFlare's parent and its job processes.

In a pod they are two containers of two users, on one machine two processes. `supervisor` decides
and alone holds credentials of the store; `agent` runs NVFlare by its `orders`; `nvflare_parent`
runs inside NVFlare's parent process, `job_process` inside that of a segment, which alone imports
torch and the author's code. Files between them are in `ipc`. Nothing of
the workers belongs here.
"""
