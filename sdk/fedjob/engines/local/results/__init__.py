"""What a local run leaves in OUT: model, result.json, report.

Nothing here starts or watches processes.
"""
