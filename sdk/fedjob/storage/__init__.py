"""S3: where a job's objects are, how they get there and back, and the log of committed rounds.

Belongs here: keys, transfers with checksums, presigned reads, errors of the store. Does not belong
here: what the objects mean (fedjob.spec), how the job folder is rendered (fedjob.workspace),
starting a store (fedjob.engines). boto3 is imported when a client is first needed: it costs 0.3 s.
"""
