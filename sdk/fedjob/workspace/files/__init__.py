"""The files beside model_def.py: which paths and sizes they may have, folders and archives of them.

Not here: S3 and ConfigMaps, which the callers read; contents come as bytes.
"""
