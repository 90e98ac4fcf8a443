"""The files beside model_def.py: which paths and sizes they may have, folders and archives of them.

Contents are bytes; reading S3 and ConfigMaps is the business of the callers.
"""
