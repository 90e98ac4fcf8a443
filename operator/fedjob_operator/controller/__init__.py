"""The control loop: work queue, reconciler, executor of actions, resync, status poller, probes.

This package schedules and carries out. What to do is decided in `planning`, not here.
"""
