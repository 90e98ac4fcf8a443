"""One module per command of `fedjob`.

Commands are thin: they parse arguments, call an engine and choose a display. No logic lives here.
"""
