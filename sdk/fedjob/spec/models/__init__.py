"""The resource as frozen pydantic models, one file per part of `spec` and one for `status`.

No I/O, and no rules across parts: those live in `validation`.
"""
