"""What a model file imports, and what a worker lacks of it."""

import textwrap

from fedjob.workspace.source.imports import modules_of
from fedjob.workspace.source.model_file import check_source
from support.model_texts import MODEL


def test_modules_that_no_worker_has_are_named():
    text = MODEL + textwrap.dedent(
        """
        import json, sklearn.svm, timm
        from PIL import Image
        from yaml import safe_load
        try:
            import wandb
        except ImportError:
            wandb = None
        """
    )
    assert check_source(text, "Net").missing_modules == ("sklearn", "timm", "yaml")
    brought = ["scikit-learn>=1.5", "timm", "PyYAML[libyaml]==6.0"]
    assert check_source(text, "Net", requirements=brought).missing_modules == ()
    assert modules_of("@ what") == set()
