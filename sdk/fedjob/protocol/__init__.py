"""Messages between engines, operator, server and workers: configuration, status, commits.

Frozen models only. No I/O.
"""
