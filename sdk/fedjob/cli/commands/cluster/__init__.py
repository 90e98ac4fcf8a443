"""One module per command that talks to a cluster.

Commands are thin: they parse arguments, call `fedjob.engines.kubernetes` and choose a display. No
logic lives here.
"""
