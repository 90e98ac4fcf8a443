"""`fedjob upload`: a built job folder and its shards to S3 (rows 35 and 39)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.display.console import error_console, error_json, output_console, print_json
from fedjob.cli.display.upload_progress import UploadProgress
from fedjob.cli.options import Json, read_job_text
from fedjob.errors import Fault, FedjobError, InvalidInputError
from fedjob.formats import size
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.prepared import LocalFiles
from fedjob.preparation.shards import inspect_shards, shard_files
from fedjob.protocol.config import StoreLocation
from fedjob.spec import FederatedJob
from fedjob.spec.validation.parse import parse_job
from fedjob.storage.job_upload import upload as send
from fedjob.storage.job_upload import upload_plan
from fedjob.workspace.job_folder import JOB_FILE, read_job_folder
from fedjob.workspace.manifest_use import NO_MANIFEST


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "Example: fedjob upload job/ --shards shards/ --bucket jobs --endpoint http://s3:8333"
    app.command("upload", epilog=example)(upload)


def upload(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder made by `fedjob build`.")],
    *,
    shards: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Upload these shard ZIPs too.")
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="The bucket. \\[default: spec.storage.bucket]")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Put before jobs/. \\[default: spec.storage.prefix]")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="\\[default: spec.storage.endpoint, else AWS]")
    ] = None,
    region: Annotated[str | None, typer.Option(help="\\[default: spec.storage.region]")] = None,
    json: Json = False,
) -> None:
    """Upload a built job folder to S3; files that are there with the same checksum are skipped.

    Keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's
    role.
    """
    try:
        _upload(
            folder,
            shards,
            bucket=bucket,
            prefix=prefix,
            endpoint=endpoint,
            region=region,
            json=json,
        )
    except FedjobError as error:
        if json:
            print_json(error_json(error))
        raise


def _upload(
    folder: Path,
    shards: Path | None,
    *,
    bucket: str | None,
    prefix: str | None,
    endpoint: str | None,
    region: str | None,
    json: bool,
) -> None:
    from fedjob.storage.bucket import Bucket
    from fedjob.storage.layout import Layout

    read_job_folder(folder)  # raises where it is none
    # The folder holds the model file, so that `build` took the job without a source.
    job = parse_job(*read_job_text(str(folder / JOB_FILE)), model_file_given=True)
    location = _location(job, bucket, prefix, endpoint, region)
    layout = Layout(job.metadata.namespace, job.metadata.name, location.prefix)
    plan = upload_plan(layout, folder, _shards(job, shards), None)
    with UploadProgress(error_console()) as progress, Bucket(location) as store:
        done = send(store, layout, plan, progress.moved)
        root = store.uri(layout.root)
    if json:
        print_json(
            {
                "uri": root,
                "files": [
                    {"key": u.key, "sha256": u.sha256, "size": u.size, "outcome": str(u.outcome)}
                    for u in done
                ],
            }
        )
        return
    console = output_console()
    for file in done:
        console.print(
            f"{file.outcome:<8}  {size(file.size):>10}  {file.key}", markup=False, soft_wrap=True
        )
    console.print(root, markup=False, soft_wrap=True)


def _location(
    job: FederatedJob,
    bucket: str | None,
    prefix: str | None,
    endpoint: str | None,
    region: str | None,
) -> StoreLocation:
    storage = job.spec.storage
    name = bucket or storage.bucket
    if not name:
        fix = "give --bucket NAME, or write spec.storage.bucket"
        raise InvalidInputError([Fault("spec.storage.bucket", "no bucket is named", fix)])
    return StoreLocation(
        endpoint=endpoint or storage.endpoint,
        region=region or storage.region or "us-east-1",
        bucket=name,
        prefix=prefix or storage.prefix or "",
    )


def _shards(job: FederatedJob, folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    faults = FaultList()
    paths = shard_files(job.spec.shards, LocalFiles(shards=folder), faults)
    # Whether they need a manifest was checked when the folder was built.
    manifest_file = job.spec.training.manifest_file
    good = inspect_shards(paths, job.spec.shards, manifest_file, faults, NO_MANIFEST)
    faults.check()
    return {shard.name: shard.path for shard in good.shards}
