"""Exports the job as a user of NVFlare does: a recipe in a script of its own.

    python nvflare_export.py FOLDER TENSORS SIZE ROUNDS numpy|pytorch

FOLDER holds net.py and client.py, and gets job/.
"""

from __future__ import annotations

import importlib
import os
import sys


def main(folder: str, tensors: str, size: str, rounds: str, exchange: str) -> None:
    """Writes FOLDER/job/bench."""
    os.chdir(folder)
    sys.path.insert(0, folder)

    from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
    from nvflare.client.config import ExchangeFormat

    recipe = FedAvgRecipe(
        name="bench",
        model=importlib.import_module("net").Net(tensors=int(tensors), size=int(size)),
        min_clients=2,
        num_rounds=int(rounds),
        train_script="client.py",
        server_expected_format=ExchangeFormat(exchange),
    )
    recipe.export("job")


if __name__ == "__main__":
    main(*sys.argv[1:])
