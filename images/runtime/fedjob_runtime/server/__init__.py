"""The server of a job: a supervisor, NVFlare's parent under it, one job process per segment.

`supervisor` decides, `segments` holds its rules as pure functions, `parent` owns the NVFlare
process, `registry` runs inside it, `controller` runs inside the job process. Only the job process
imports torch and the user's code; only the supervisor holds credentials of the store.
"""
