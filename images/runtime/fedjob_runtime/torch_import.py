"""Torch, imported at two thirds of the cost; to be imported before anything that imports torch.

The import makes some 280,000 objects that live as long as the process. The garbage collector goes
through them again and again meanwhile, at the process's end, and whenever training fills it: so it
rests during the import, and counts what is there afterwards as permanent. A job process starts
anew with every segment, so this is the time in which a federation recovers.
"""

from __future__ import annotations

import gc

gc.disable()
try:
    import torch  # noqa: F401
finally:
    gc.enable()
gc.freeze()
