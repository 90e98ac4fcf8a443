"""The control loop: queue, observer, reconciler, executor, status writer, status poller, probes.

This package schedules and carries out. It does not decide what to do; that is `planning`.
"""
