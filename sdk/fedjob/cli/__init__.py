"""The command line: one module a command, thin over the engines.

Here belong arguments, what is printed and exit codes. Deciding and doing belong to `fedjob.engines`
and below: a command reads its input, calls them and shows what came of it.
"""

from fedjob.cli.app import main

__all__ = ["main"]
