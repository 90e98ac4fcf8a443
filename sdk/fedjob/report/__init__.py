"""Committed rounds -> one self-contained HTML page.

Here belongs what a person sees after a run: the figures, charts and tables of the page.
Everything is a pure function of the job's facts and its commits; reading commits from a store and
writing the page to a file is for the callers. No script, no network, no clock.
"""

from fedjob.report.facts import JobFacts
from fedjob.report.page import build

__all__ = ["JobFacts", "build"]
