"""The supervisor: runs the federation as segments and commits their rounds to S3.

Holds the store's credentials. Must not import torch and must not run the author's code.
"""
