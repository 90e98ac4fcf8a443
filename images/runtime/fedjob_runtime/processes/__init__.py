"""Starting, forking, watching and ending processes.

Nothing here knows what a process computes.
"""
