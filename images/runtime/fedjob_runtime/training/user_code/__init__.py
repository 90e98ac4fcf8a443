"""The boundary to the author's code: loading it, and turning what it raises into typed errors.

Here: import of model_def.py, tracebacks, root causes and fitting fixes. Not here: how the functions
are called (`signatures`, `forms`), and what they return (`returns`, `answers`).
"""
