"""The checks that validate, build, run and submit share: a job file and its shards.

Nothing is uploaded or started here.
"""
