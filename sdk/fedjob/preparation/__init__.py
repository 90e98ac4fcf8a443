"""What validate, build, run and submit share: from a file and shards to a checked job.

Nothing is uploaded or started here.
"""
