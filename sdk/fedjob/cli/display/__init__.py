"""What commands print: live displays, tables, numbers.

Nothing here starts or changes a run.
"""
