"""What engines, operator, server and workers say to each other: configuration, status, commits.

Frozen models only. No I/O.
"""
