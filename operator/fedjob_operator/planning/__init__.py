"""Decisions: from a job and its observations to the actions that are due.

Pure functions. No I/O and no clock: the time is an argument.
"""
