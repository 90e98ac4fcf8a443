"""The Python SDK: a job is data, a client runs it somewhere, a run is the handle.

Users import these names from `fedjob` itself. Nothing here starts processes or talks to a cluster:
`fedjob.engines` does. Errors name Python's arguments where those of the command line differ.
"""
