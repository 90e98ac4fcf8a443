"""A valid job, written as YAML and read again, is the same job."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedjob.spec import FederatedJob
from fedjob.spec.validation.parse import parse_job, parse_object
from fedjob.spec.yaml import dump_yaml

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
IDENTIFIERS = st.from_regex(r"[A-Z][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("True", "False", "None")
)
FILES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | NUMBERS | TEXT
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FILES, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(IDENTIFIERS.map(str.lower).map("x_{}".format), NESTED, max_size=4)
URIS = FILES.map("s3://bucket/{}".format)
QUANTITIES = st.sampled_from(["500m", "1", "2Gi", "1.5", 3])


def section(**fields: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=fields)


SHARDS = st.lists(FILES.map("{}.zip".format), min_size=2, max_size=5, unique=True)
SECTIONS = section(
    training=section(
        batchSize=st.integers(1, 1048576),
        learningRate=st.floats(1e-9, 1000),
        manifestFile=FILES,
        extra=ARGUMENTS,
    ),
    federation=section(numRounds=st.integers(1, 10000), roundTimeout=st.integers(1, 604800)),
    components=section(
        aggregator=st.fixed_dictionaries({"path": st.just("a.B"), "args": ARGUMENTS})
    ),
    image=section(builder=st.just("docker"), pullSecrets=st.lists(NAMES, max_size=3, unique=True)),
    workers=section(
        gpu=st.integers(1, 16),
        gpuFallback=st.sampled_from(["cpu", "wait"]),
        resources=section(limits=section(cpu=QUANTITIES, memory=QUANTITIES)),
        nodeSelector=st.dictionaries(NAMES, TEXT, max_size=2),
    ),
    runPolicy=section(suspend=st.booleans(), backoffLimit=st.integers(0, 100)),
)
SOURCES = section(uri=URIS).filter(bool) | section(inline=TEXT.filter(bool)).filter(bool)


@st.composite
def specs(draw: st.DrawFn) -> dict:
    names = draw(SHARDS)
    items = [{"name": name, "uri": draw(URIS)} for name in names]
    shards = draw(
        st.sampled_from(
            [
                {},
                {"uri": "s3://bucket/a/"},
                {"items": items},
                {"items": items, "validation": names[0]},
                {"validation": "v.zip"},
            ]
        )
    )
    model = {"source": draw(SOURCES), "className": draw(IDENTIFIERS), "args": draw(ARGUMENTS)}
    return {"model": model, "shards": shards, **draw(SECTIONS)}


def in_floats(value):
    """A value without the difference of 2 and 2.0, which JSON and so kubectl do not have."""
    if isinstance(value, dict):
        return {key: in_floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_floats(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(
    max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(name=NAMES, labels=st.dictionaries(NAMES, TEXT, max_size=2), spec=specs())
def test_yaml_round_trip(name, labels, spec):
    job = parse_object(
        {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": name, "namespace": "team-a", "labels": labels},
            "spec": spec,
        }
    )
    again = parse_job(job.to_yaml())
    assert in_floats(again.model_dump()) == in_floats(job.model_dump())
    assert parse_job(again.to_yaml()) == again
    assert FederatedJob.model_validate_json(job.model_dump_json(by_alias=True)) == job


def test_yaml_leaves_out_what_is_the_clusters():
    job = parse_object(
        {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7"},
            "spec": {"model": {"source": {"uri": "s3://bucket/m.py"}, "className": "Net"}},
            "status": {"state": "Failed"},
        }
    )
    assert job.to_yaml() == (
        "apiVersion: fedjob.dev/v1alpha1\n"
        "kind: FederatedJob\n"
        "metadata:\n"
        "  name: a\n"
        "spec:\n"
        "  model:\n"
        "    source:\n"
        "      uri: s3://bucket/m.py\n"
        "    className: Net\n"
    )


@pytest.mark.parametrize(
    "text", ["\x85", "a\x85b", "\u2028", "a\u2029", "a\nb\x85c\n", "a\n \u2028"]
)
def test_line_breaks_of_unicode_survive_yaml(text: str) -> None:
    assert yaml.safe_load(dump_yaml({"text": text})) == {"text": text}
