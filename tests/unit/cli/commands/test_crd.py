"""`fedjob crd`: the definition as YAML and as JSON."""

import json

import yaml

from fedjob.spec.schema.crd import custom_resource_definition


def test_yaml_and_json_are_the_definition_in_the_order_of_kubectl(fedjob):
    text = fedjob("crd").stdout
    assert text.index("apiVersion:") < text.index("kind:") < text.index("metadata:")
    assert yaml.safe_load(text) == custom_resource_definition()
    assert json.loads(fedjob("crd", "--json").stdout) == custom_resource_definition()
