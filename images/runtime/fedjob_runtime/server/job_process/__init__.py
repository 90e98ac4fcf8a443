"""The server's job process: rounds, aggregation and evaluation with the author's code.

Holds no credentials and must not import boto3 or `fedjob.storage`.
"""
