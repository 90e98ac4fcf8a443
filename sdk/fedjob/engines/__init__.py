"""Where a job runs: the same verbs and the same file names on a laptop and on a cluster.

Here belongs what starts, watches and ends a run, and how its results reach a folder. What a job is
lives in `fedjob.spec`, what is rendered in `fedjob.workspace`, what the processes do in
`fedjob_runtime`; an engine starts those as commands and imports neither torch nor nvflare. Nothing
here prints: an engine tells a `RunObserver` (observe.py) what happens, and the command line draws
it.
"""
