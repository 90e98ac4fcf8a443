"""File names of a run's result, the same in `model_out/` of the store and in a local OUT."""

from __future__ import annotations

from typing import Final

MODEL: Final = "model.safetensors"
"""The final global model."""
BEST_MODEL: Final = "best_model.safetensors"
"""The model of the best round, in a local OUT; a store has it among the rounds."""
MODEL_PT: Final = "GLOBAL_MODEL.pt"
"""The same weights, for `torch.load`."""
REPORT: Final = "report.html"
"""The report."""
HISTORY: Final = "history.json"
"""Every committed round, of a run on a cluster: the status has the last ones only."""
RESULT: Final = "result.json"
"""How the run ended, for scripts."""
