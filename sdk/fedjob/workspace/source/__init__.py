"""The author's model file as text: names, imports, classes, signatures.

The file is read here, never imported or run.
"""
