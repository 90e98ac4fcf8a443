"""Where each file of a job goes in S3 (CONTRACT section 3)."""

from fedjob.storage.job_upload import checkpoint_key, upload_plan
from fedjob.storage.layout import Layout

LAYOUT = Layout("team", "digits", "p")
ROOT = "p/jobs/team/digits/"


def test_every_file_of_the_folder_has_its_place(tmp_path):
    for name in (
        "app/custom/model_def.py",
        "app/custom/pkg/more.py",
        "app/config/config_fed_client.json",
        "meta.json",
        "requirements.txt",
        "job.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    shards = {"b.zip": tmp_path / "b.zip", "a.zip": tmp_path / "a.zip"}
    plan = upload_plan(LAYOUT, tmp_path, shards, tmp_path / "first.safetensors")
    assert {key.removeprefix(ROOT): path.name for key, path in plan.items()} == {
        "scripts/model_def.py": "model_def.py",
        "scripts/pkg/more.py": "more.py",
        "configs/config_fed_client.json": "config_fed_client.json",
        "configs/meta.json": "meta.json",
        "requirements/requirements.txt": "requirements.txt",
        "shards/a.zip": "a.zip",
        "shards/b.zip": "b.zip",
        "model/checkpoint.safetensors": "first.safetensors",
    }


def test_the_checkpoint_keeps_its_ending(tmp_path):
    assert checkpoint_key(LAYOUT, tmp_path / "x.y.pt") == f"{ROOT}model/checkpoint.pt"
