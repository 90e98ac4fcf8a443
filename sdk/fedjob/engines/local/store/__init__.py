"""The embedded S3 server of a local run, its ports and the presigned URLs of its shards.

Nothing here knows the layout of a job in the bucket.
"""
