"""The SDK's tutorial and its notebook are the same cells; tests/integration runs them."""

import json

from support.sdk.tutorial_cells import NOTEBOOK, cells


def test_notebook_has_the_cells_of_the_tutorial() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert ["".join(cell["source"]) for cell in code] == cells()
    assert all(cell["outputs"] == [] for cell in code)
