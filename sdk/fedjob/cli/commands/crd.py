"""`fedjob crd`: the CustomResourceDefinition, for `kubectl apply`."""

from __future__ import annotations

import json as json_module
import sys

import typer
import yaml

from fedjob.cli.options import Json
from fedjob.spec.schema.crd import custom_resource_definition


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("crd", epilog="Example: fedjob crd | kubectl apply -f -")(crd)


def crd(json: Json = False) -> None:
    """Print the CustomResourceDefinition of FederatedJob as YAML."""
    definition = custom_resource_definition()
    if json:
        sys.stdout.write(json_module.dumps(definition, indent=2) + "\n")
    else:
        yaml.safe_dump(definition, sys.stdout, sort_keys=False, allow_unicode=True, width=100)
