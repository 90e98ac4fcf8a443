"""The control loop: queue, observer, reconciler, executor, status writer, status poller, probes.

This package schedules and carries out. What to do is decided in `planning`.
"""
