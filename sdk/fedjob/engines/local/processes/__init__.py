"""The processes of a local run: commands, environment, supervision, and an end for every one.

Nothing here knows S3 or results.
"""
