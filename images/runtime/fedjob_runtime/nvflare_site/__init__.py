"""An NVFlare site on disk: certificates, startup kits, settings and the classes it may build.

Only files and checks of files. Processes are started in `processes`, `server` and `worker`.
"""
