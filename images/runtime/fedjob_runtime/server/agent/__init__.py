"""The agent: runs NVFlare and the author's code for a supervisor that it holds no keys for.

It takes orders over a Unix socket. No S3, no credentials, no import from the supervisor.
"""
