"""What is checked before a run: the resource, the model file and the shards, all faults at once."""

import hashlib
import json
import zipfile

import pytest

from fedjob.errors import InvalidInputError
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles
from fedjob.reasons import Reason

MODEL = """
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.line = nn.Linear(3, num_classes)


def fl_train_model(payload):
    return {"weights": payload["initial_weights"], "samples": 1}
"""


def shard(folder, name, labels, manifest="manifest.ndjson"):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        rows = [{"id": f"s{i}", "uri": "x.txt", "y": y} for i, y in enumerate(labels)]
        archive.writestr(manifest, "\n".join(json.dumps(row) for row in rows))
        archive.writestr("x.txt", "x")


def job(source=MODEL, **spec):
    source = {"inline": source} if isinstance(source, str) else source
    model = {"source": source, "className": "Net"} | spec.pop("model", {})
    return json.dumps(
        {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": "digits"},
            "spec": {"model": model, **spec},
        }
    )


@pytest.fixture
def folder(tmp_path):
    shard(tmp_path / "shards", "b.zip", [0, 1])
    shard(tmp_path / "shards", "a.zip", [4, 1, 1])
    shard(tmp_path / "shards", "c.zip", [6])
    return tmp_path


def without_source(**spec):
    """A job whose model file only the command line names."""
    resource = json.loads(job(**spec))
    del resource["spec"]["model"]["source"]
    return json.dumps(resource)


def faults_of(text, files):
    with pytest.raises(InvalidInputError) as caught:
        prepare_text(text, "job.yaml", files)
    found = {}
    for fault in caught.value.faults:
        found[fault.field] = f"{found.get(fault.field, '')}{fault.problem}; {fault.fix}\n"
    return found


def test_row_37_workers_by_file_name_sort_and_row_21_classes_over_all_shards(folder):
    prepared = prepare_text(job(shards={"validation": "c.zip"}), "j", LocalFiles(folder))
    assert {name: s.name for name, s in prepared.workers.items()} == {
        "worker-0": "a.zip",
        "worker-1": "b.zip",
    }
    assert [s.samples for s in prepared.shards] == [3, 2]
    assert prepared.validation is not None
    assert prepared.validation.name == "c.zip"
    assert prepared.num_classes == 7, "the validation shard counts"
    assert prepared.job_files["app/custom/model_def.py"].decode() == MODEL
    digest = hashlib.sha256((folder / "shards" / "a.zip").read_bytes()).hexdigest()
    assert prepared.digests["shard a.zip"] == digest


def test_all_faults_of_spec_source_and_shards_at_once(folder):
    """A resource that is wrong itself hides nothing of what is wrong with its files."""
    shard(folder / "shards", "d.zip", [1], manifest="inner/manifest.ndjson")
    (folder / "shards" / "e.zip").write_text("no ZIP")
    text = job(
        source=MODEL.replace("import torch.nn as nn", ""),
        training={"batchSize": 0},
        federation={"numRound": 3},
    )
    faults = faults_of(text, LocalFiles(folder))
    assert "spec.training.batchSize" in faults
    assert "spec.federation.numRound" in faults
    everything = str(faults)
    assert "add `import torch.nn as nn`" in everything, "row 26"
    assert "FileNotFoundError: manifest.ndjson" in faults, "row 27"
    assert "e.zip" in everything


@pytest.mark.parametrize(
    ("text", "files", "field", "problem"),
    [
        (
            job({"configMapRef": {"name": "m"}}),
            {},
            "spec.model.source.configMapRef",
            "--model-file",
        ),
        (job({"uri": "s3://bucket/m.py"}), {}, "spec.model.source.uri", "--model-file"),
        (job(), {"model_file": "absent.py"}, "--model-file", "absent.py"),
        (job(), {"model_file": "shards/a.zip"}, "--model-file", "UTF-8"),
        (job(), {"model_file": "shards"}, "--model-file", "shards"),
        (job(), {"checkpoint": "absent.pt"}, "--checkpoint", "is not a file"),
        (job(), {"checkpoint": "shards/a.zip"}, "--checkpoint", ".safetensors"),
        (job(model={"checkpoint": "s3://b12/x.pt"}), {}, "spec.model.checkpoint", "--checkpoint"),
        (job(), {"shards": "absent"}, "--shards", "is not a folder"),
        (job(), {"shards": "."}, "--shards", "no .zip"),
        (job(shards={"uri": "s3://bucket/x/"}), {}, "spec.shards", "--shards DIR"),
        (job(shards={"validation": "z.zip"}), {}, "spec.shards.validation", "a.zip, b.zip, c.zip"),
        (job(training={"numClasses": 3}), {}, "spec.training.numClasses", "label 4"),
        (job(federation={"minClients": 4}), {}, "spec.federation.minClients", "3 workers"),
        (job(runPolicy={"suspend": True}), {}, "spec.runPolicy.suspend", "false"),
        (job(training={"manifestFile": "m.ndjson"}), {}, "FileNotFoundError: m.ndjson", "a.zip"),
        (
            job(shards={"items": [{"name": "q.zip", "uri": "s3://bucket/q.zip"}]}),
            {"shards": "shards"},
            "spec.shards.items[0].name",
            "q.zip",
        ),
        (
            job(shards={"items": [{"name": "a.zip", "uri": "s3://bck/a.zip", "sha256": "0" * 64}]}),
            {"shards": "shards"},
            "a.zip",
            "SHA-256",
        ),
    ],
)
def test_each_fault_names_its_place_and_what_to_do(folder, text, files, field, problem):
    given = {name: folder / path for name, path in files.items()}
    faults = faults_of(text, LocalFiles(folder, **given))
    assert field in faults
    assert problem in faults[field]


def test_the_only_shard_cannot_be_the_validation_shard(tmp_path):
    shard(tmp_path / "shards", "a.zip", [1])
    faults = faults_of(job(shards={"validation": "a.zip"}), LocalFiles(tmp_path))
    assert "no worker" in faults["spec.shards.validation"]


def test_without_a_folder_of_shards_it_says_how_to_name_one(tmp_path):
    assert "--shards DIR" in faults_of(job(), LocalFiles(tmp_path))["spec.shards"]


def test_files_stand_for_what_the_resource_names(folder):
    (folder / "m.py").write_text(MODEL + "# mine\n")
    (folder / "w.pt").write_bytes(b"weights")
    text = job({"uri": "s3://bucket/m.py"}, model={"checkpoint": "s3://bucket/w.pt"})
    files = LocalFiles(folder, model_file=folder / "m.py", checkpoint=folder / "w.pt")
    prepared = prepare_text(text, "job.yaml", files)
    assert prepared.job_files["app/custom/model_def.py"].endswith(b"# mine\n")
    assert prepared.checkpoint == folder / "w.pt"
    assert prepared.digests["checkpoint"] == hashlib.sha256(b"weights").hexdigest()


def test_row_24_a_model_file_is_shipped_verbatim_with_its_line_ends(folder):
    given = MODEL.replace("\n", "\r\n").encode()
    (folder / "m.py").write_bytes(given)
    prepared = prepare_text(job(), "job.yaml", LocalFiles(folder, model_file=folder / "m.py"))
    assert prepared.job_files["app/custom/model_def.py"] == given


def test_files_that_are_no_shards_are_left_alone(folder):
    (folder / "shards" / "readme.txt").write_text("x")
    (folder / "shards" / ".hidden.zip").write_text("x")
    (folder / "shards" / "folder.zip").mkdir()
    prepared = prepare_text(job(), "job.yaml", LocalFiles(folder))
    assert [s.name for s in prepared.shards] == ["a.zip", "b.zip", "c.zip"]


PLAIN = MODEL.replace("(self, num_classes)", "(self)").replace("num_classes", "2")
FORM_C = PLAIN[: PLAIN.index("def fl_train_model")]


def zip_of(folder, name, **files):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def test_forms_a_and_b_take_any_zip(tmp_path):
    """Row 17 and field manifest-required: the author's code reads the shard."""
    zip_of(tmp_path / "shards", "a.zip", **{"train.csv": "1,2"})
    prepared = prepare_text(job(PLAIN), "job.yaml", LocalFiles(tmp_path))
    assert prepared.num_classes == 0
    assert [shard.samples for shard in prepared.shards] == [None]
    assert not prepared.hints
    assert "FileNotFoundError: manifest.ndjson" in faults_of(job(FORM_C), LocalFiles(tmp_path))


def test_a_manifest_that_only_the_author_reads_gives_a_hint(tmp_path):
    """It may have a format of its own, or a mistake."""
    zip_of(tmp_path / "shards", "a.zip", **{"manifest.ndjson": '{"text": "a"}'})
    prepared = prepare_text(job(PLAIN), "job.yaml", LocalFiles(tmp_path))
    (hint,) = prepared.hints
    assert hint.startswith("a.zip: manifest.ndjson line 1: has no `id`")
    assert hint.endswith("(only your own code reads this manifest)")


def test_a_placeholder_label_leaves_the_constructors_default(tmp_path):
    """Field placeholder-label-sets-num-classes."""
    shard(tmp_path / "shards", "a.zip", [0])
    text = MODEL.replace("num_classes)", "num_classes=2)", 1)
    assert prepare_text(job(text), "job.yaml", LocalFiles(tmp_path)).num_classes == 0


def test_mixed_label_styles_over_shards_are_refused_in_form_c(tmp_path):
    """Field mixed-label-styles."""
    shard(tmp_path / "shards", "a.zip", [0, 1])
    shard(tmp_path / "shards", "b.zip", [[0], [1]])
    problem = faults_of(job(FORM_C), LocalFiles(tmp_path))["spec.shards"]
    assert "a.zip: manifest.ndjson: class numbers" in problem
    assert "b.zip: manifest.ndjson: lists of classes" in problem
    assert not prepare_text(job(PLAIN), "job.yaml", LocalFiles(tmp_path)).hints


def test_one_sample_with_batch_norm_gives_a_hint_in_form_c(tmp_path):
    """Field batchnorm-one-sample."""
    shard(tmp_path / "shards", "a.zip", [0, 1])
    shard(tmp_path / "shards", "b.zip", [1])
    shard(tmp_path / "shards", "v.zip", [1])
    text = FORM_C.replace("nn.Linear(3, 2)", "nn.BatchNorm2d(3)")
    text += "def fl_validate(model, env, out_dir): return {}\n"
    spec = {"shards": {"validation": "v.zip"}}
    prepared = prepare_text(job(text, **spec), "job.yaml", LocalFiles(tmp_path))
    assert prepared.hints == (
        "b.zip has one sample, and BatchNorm cannot train on one: add samples, or use GroupNorm",
    )
    text = text.replace("BatchNorm2d", "GroupNorm")
    assert not prepare_text(job(text, **spec), "job.yaml", LocalFiles(tmp_path)).hints


def test_built_in_evaluation_of_other_files_than_images_gives_a_hint(tmp_path):
    """Field validation-needs-images."""
    zip_of(tmp_path / "shards", "a.zip", **{"train.csv": "1"})
    shard(tmp_path / "shards", "v.zip", [1])
    spec = {"shards": {"validation": "v.zip"}}
    (hint,) = prepare_text(job(PLAIN, **spec), "job.yaml", LocalFiles(tmp_path)).hints
    assert hint.startswith("v.zip: x.txt is not an image")
    assert "write fl_validate(model, env, out_dir)" in hint
    own = PLAIN + "def fl_validate(model, env, out_dir): return {}\n"
    assert not prepare_text(job(own, **spec), "job.yaml", LocalFiles(tmp_path)).hints


def code(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_modules_beside_the_model_file_are_shipped(folder):
    """Fields helper-module and sibling-module."""
    text = "from helpers import T\nimport missing_package\n" + MODEL
    code(folder / "code", **{"net.py": text, "helpers.py": "import more", "more.py": "T = 1"})
    files = LocalFiles(folder, model_file=folder / "code/net.py")
    prepared = prepare_text(job({"configMapRef": {"name": "m"}}), "job.yaml", files)
    assert prepared.job_files["app/custom/helpers.py"] == b"import more"
    assert prepared.job_files["app/custom/more.py"] == b"T = 1"
    assert prepared.job_files["app/custom/model_def.py"] == text.encode()
    assert set(prepared.digests) >= {"model file", "file helpers.py", "file more.py"}
    (hint,) = prepared.hints
    assert "missing_package" in hint
    assert "ship missing_package.py beside it" in hint


def test_a_folder_of_code_is_shipped_whole(folder):
    """Issue 15, item 6: packages and data files, readable beside model_def.py."""
    text = "import pkg\n" + MODEL
    files = {"model_def.py": text, "pkg/__init__.py": "", "tokenizer.json": "{}", ".git/x": ""}
    code(folder / "code", **files, **{"requirements.txt": "numpy>=1  # arrays\n"})
    given = LocalFiles(folder, model_file=folder / "code")
    spec = {"model": {"files": [{"path": "data", "uri": "s3://bucket/data/"}]}}
    faults = faults_of(job(**spec), given)
    assert list(faults) == ["spec.model.files[0].uri"]
    assert "--model-file DIR" in faults["spec.model.files[0].uri"]
    code(folder / "code", **{"data/a.txt": "a"})
    prepared = prepare_text(job(**spec), "job.yaml", given)
    custom = {p.removeprefix("app/custom/") for p in prepared.job_files if "custom" in p}
    assert custom >= {"model_def.py", "pkg/__init__.py", "tokenizer.json", "data/a.txt"}
    assert not any(".git" in path for path in custom)
    assert prepared.job_files["requirements.txt"] == b"numpy>=1\n"
    assert [line.name for line in prepared.requirements] == ["numpy"]


def test_a_folder_without_a_model_file_is_refused(folder):
    code(folder / "code", **{"a.py": ""})
    faults = faults_of(job(), LocalFiles(folder, model_file=folder / "code"))
    assert "no file that defines Net" in faults["--model-file"]


def test_inline_files_are_shipped_and_others_need_the_folder(folder):
    files = [
        {"path": "helpers.py", "text": "T = 1"},
        {"path": "a.bin", "configMapKeyRef": {"name": "m", "key": "a.bin"}},
        {"path": ".", "uri": "s3://bucket/code.zip"},
    ]
    faults = faults_of(job(model={"files": files}), LocalFiles(folder))
    assert sorted(faults) == ["spec.model.files[1].configMapKeyRef", "spec.model.files[2].uri"]
    prepared = prepare_text(job(model={"files": files[:1]}), "job.yaml", LocalFiles(folder))
    assert prepared.job_files["app/custom/helpers.py"] == b"T = 1"


def test_a_module_that_would_hide_another_is_refused(folder):
    code(folder / "code", **{"model_def.py": "import random\n" + MODEL, "random.py": ""})
    given = LocalFiles(folder, model_file=folder / "code/model_def.py")
    assert "would hide Python's own module" in faults_of(job(), given)["--model-file"]


def test_data_beside_the_model_file_is_pointed_out(folder):
    text = MODEL + 'VOCAB = "vocab.txt"\n'
    code(folder / "code", **{"net.py": text, "vocab.txt": "a"})
    given = LocalFiles(folder, model_file=folder / "code/net.py")
    (hint,) = prepare_text(job(), "job.yaml", given).hints
    assert "net.py names vocab.txt, which lies beside it and is not sent" in hint


def test_a_module_beside_the_job_file_is_not_looked_for_in_a_registry(folder):
    code(folder, **{"utils.py": "", "pkg/__init__.py": ""})
    hints = prepare_text(job("import utils, pkg\n" + MODEL), "job.yaml", LocalFiles(folder)).hints
    assert len(hints) == 2
    assert all("is not sent with it; give the folder: --model-file DIR" in hint for hint in hints)
    assert not any("requirements" in hint for hint in hints)


def test_a_notebook_is_taken_with_a_note(folder):
    cells = [{"cell_type": "code", "source": "%pip install x\n" + MODEL}]
    (folder / "net.ipynb").write_text(json.dumps({"cells": cells}))
    prepared = prepare_text(job(), "job.yaml", LocalFiles(folder, model_file=folder / "net.ipynb"))
    assert "notebook commands are left out (cell 1: %pip install x)" in prepared.hints[0]
    assert b"class Net" in prepared.job_files["app/custom/model_def.py"]


def test_an_encoded_model_file_is_shipped_verbatim(folder):
    """Field model-file-bom."""
    for data in (
        b"\xef\xbb\xbf" + MODEL.encode(),
        f"# coding: latin-1\n# größe\n{MODEL}".encode("latin-1"),
    ):
        (folder / "m.py").write_bytes(data)
        given = LocalFiles(folder, model_file=folder / "m.py")
        prepared = prepare_text(job(), "job.yaml", given)
        assert prepared.job_files["app/custom/model_def.py"] == data


def test_requirements_that_cannot_be_used_are_refused(folder):
    code(folder / "code", **{"model_def.py": MODEL, "requirements.txt": "-r more.txt"})
    given = LocalFiles(folder, model_file=folder / "code")
    faults = faults_of(job(model={"requirements": ["./x-1.0-py3-none-any.whl"]}), given)
    assert sorted(faults) == ["requirements.txt line 1", "spec.model.requirements"]


def test_a_model_file_of_the_command_line_needs_no_source_in_the_job(folder):
    """The tutorials leave spec.model.source out where --model-file names the file."""
    (folder / "net.py").write_text(MODEL)
    given = LocalFiles(folder, model_file=folder / "net.py")
    prepared = prepare_text(without_source(), "job.yaml", given)
    assert prepared.job_files["app/custom/model_def.py"].decode() == MODEL
    faults = faults_of(without_source(training={"batchSize": 0, "numClasses": 2}), given)
    assert "spec.model.source" not in faults
    assert faults.keys() == {"spec.training.batchSize"}


def test_without_any_model_file_the_source_is_missing(folder):
    assert "is missing" in faults_of(without_source(), LocalFiles(folder))["spec.model.source"]


def test_too_few_classes_have_the_reason_that_the_operator_gives(folder):
    with pytest.raises(InvalidInputError) as caught:
        prepare_text(job(training={"numClasses": 3}), "job.yaml", LocalFiles(folder))
    assert caught.value.reason is Reason.NUM_CLASSES_TOO_SMALL


def test_entries_of_extra_that_replace_fedjobs_own_are_hinted_at(folder):
    """Jobs that were stored before fedjob set these names stay as they are."""
    extra = {"NUM_ROUNDS": 9, "SHARD_NAME": "mine", "own": 1}
    prepared = prepare_text(job(training={"extra": extra}), "job.yaml", LocalFiles(folder))
    assert prepared.hints == (
        'spec.training.extra.NUM_ROUNDS is 9 and replaces fedjob\'s own env["NUM_ROUNDS"], which '
        "is 5; remove it, unless that is meant",
        "spec.training.extra.SHARD_NAME is 'mine' and replaces fedjob's own env[\"SHARD_NAME\"]; "
        "remove it, unless that is meant",
    )
    same = job(training={"extra": {"NUM_ROUNDS": 5}})
    assert not prepare_text(same, "job.yaml", LocalFiles(folder)).hints
