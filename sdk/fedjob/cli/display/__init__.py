"""Output of the commands: live displays, tables, numbers.

Nothing here starts or changes a run.
"""
