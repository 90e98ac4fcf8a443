"""The log of committed rounds: append-only, and safe when two servers believe to be the one.

A round is done exactly when `rounds/<n>/commit.json` exists. It is written with If-None-Match, so
of any number of servers one makes it. The model is uploaded before, to a key that carries its
SHA-256, and the commit names that key's file: servers that race write different keys or the same
bytes, so nobody overwrites the model of the winner. Round n is refused while n-1 has no commit: the
log has no gap.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from fedjob.formats import rfc3339
from fedjob.protocol.bounded_json import MOST_VALUES, has_too_many_values
from fedjob.protocol.commit import Commit
from fedjob.protocol.result_files import MODEL
from fedjob.storage.bucket import Bucket
from fedjob.storage.checksum import sha256_of
from fedjob.storage.errors import (
    AlreadyExistsError,
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    ObjectMissingError,
    RoundGapError,
    RoundTakenError,
    StoreUnreachableError,
)
from fedjob.storage.layout import Layout
from fedjob.storage.objects import Upload
from fedjob.storage.patience import Patience

T = TypeVar("T")


MAX_COMMIT = 8 << 20
"""Bytes of a commit: 256 workers with 100 metrics each have some 3 MiB."""


class RoundLog:
    """The committed rounds of one job.

    Every operation waits out an unreachable store as its `Patience` says; all are safe to repeat.
    """

    def __init__(self, bucket: Bucket, layout: Layout, patience: Patience | None = None) -> None:
        self._bucket = bucket
        self._layout = layout
        self._patience = patience or Patience()

    def claim_attempt(self, owner: str) -> int:
        """Fences every server that started before, and returns this start's number, from 1.

        Args:
            owner: Who starts, for people to read: host and process, or a pod's name.
        """
        body = json.dumps(
            {
                "owner": owner,
                "claimed": rfc3339(time.time(), "microseconds"),
                "nonce": uuid.uuid4().hex,  # tells our own try from another's
            }
        ).encode()
        number = self.latest_attempt() + 1
        while not self._put_once(self._layout.attempt(number), body):
            number += 1
        return number

    def latest_attempt(self) -> int:
        """The number of the last server start; 0 before the first."""
        return self._patiently(
            lambda: max(
                self._numbers(self._layout.attempts, self._layout.attempt_number), default=0
            )
        )

    def commits(self) -> list[int]:
        """The committed rounds: 0, 1, 2 and so on without a gap.

        Raises:
            RoundGapError: A commit below the last one is missing: someone deleted it.
        """
        found = self._list_commits()
        if found != list(range(len(found))):
            # Rounds may have been committed between two pages of the listing.
            found = self._list_commits()
        missing = sorted({*range(max(found, default=-1))} - {*found})
        if missing:
            raise RoundGapError(
                f"{self._bucket.uri(self._layout.rounds)}: {len(missing)} of {max(found) + 1} "
                f"commits are missing, the first of round {missing[0]}; restore them, or delete "
                f"{self._bucket.uri(self._layout.rounds)} to start over"
            )
        return found

    def latest(self) -> Commit | None:
        """The last committed round; None before round 0."""
        done = self.commits()
        return self.read(done[-1]) if done else None

    def read(self, number: int) -> Commit:
        """The commit of a round.

        Raises:
            ObjectMissingError: The round is not committed.
            CorruptCommitError: The object is not a commit of this round.
        """
        key = self._layout.commit(number)
        data = self._patiently(lambda: self._bucket.get_bytes(key, MAX_COMMIT))
        if has_too_many_values(data):
            raise self._corrupt(number, f"of more than {MOST_VALUES} values")
        try:
            commit = Commit.model_validate_json(data)
        except ValidationError as error:
            raise self._corrupt(number, f"no commit, {error.error_count()} faults") from error
        if commit.round != number:
            raise self._corrupt(number, f"the commit of round {commit.round}")
        return commit

    def model_key(self, commit: Commit) -> str:
        """The object key of a committed round's model."""
        return self._layout.round_file(commit.round, commit.model_file)

    def upload_model(self, commit: Commit, model_path: Path) -> None:
        """Uploads a round's model ahead of its commit, which then finds it there.

        For a caller that wants to tell in the commit how long the upload took.
        """
        number = commit.round
        key = self._layout.round_file(number, self._layout.round_model_name(commit.sha256))
        self._patiently(lambda: self._bucket.upload_file(model_path, key, sha256=commit.sha256))

    def commit(self, commit: Commit, model_path: Path, strategy_path: Path | None = None) -> Commit:
        """Commits a round: the model first, then the commit object, which one server only can make.

        Args:
            commit: `sha256` and `size` are those of `model_path`; `model_file` is filled in here.
            model_path: The global model after the round, a safetensors file.
            strategy_path: What the strategy keeps; given exactly where `commit.strategy` is.

        Returns:
            The commit as it is in the store.

        Raises:
            FencedError: A newer attempt exists: stop; nothing was committed.
            RoundTakenError: Another server committed this round. A server that is still the latest
                attempt may go on from that commit (a fenced one was quick before it noticed); any
                other stops.
            RoundGapError: The round before is not committed.
            CorruptCommitError: The commit could not be read back; nothing was written.
            ChecksumMismatchError: The file is not the one that `commit.sha256` tells of.
            StoreUnreachableError: Patience is at its end; committing the same again is safe.
        """
        number = commit.round
        stored = self._with_names(commit)
        body = stored.as_object()
        self._require_readable(number, body)
        self.require_newest(commit.attempt)
        if self._exists(self._layout.commit(number)):
            return self._settle(stored, body)
        if number > 0 and not self._exists(self._layout.commit(number - 1)):
            raise RoundGapError(
                f"{self._bucket.uri(self._layout.round(number))}: round {number - 1} is not "
                f"committed; commit it first"
            )
        model_key = self.model_key(stored)
        kept = stored.strategy
        if kept is not None and strategy_path is not None:
            strategy_key = self._layout.round_file(number, kept.file)
            self._patiently(
                lambda: self._bucket.upload_file(strategy_path, strategy_key, sha256=kept.sha256)
            )
        try:
            # Hashed while it is sent; nothing is read where `upload_model` sent it before.
            self._patiently(
                lambda: self._bucket.upload_file(model_path, model_key, sha256=commit.sha256)
            )
        except ChecksumMismatchError:
            # Another server committed the round and swept our model away before it was read back.
            if not self._exists(self._layout.commit(number)):
                raise
            return self._settle(stored, body)
        # Again, because uploading took a while. A fenced server that slips through here commits the
        # successor of the last commit like any other: the log stays whole, and the newer server
        # gets RoundTakenError.
        self.require_newest(commit.attempt)
        key = self._layout.commit(number)
        if not self._put_once(key, body):
            return self._settle(stored, body)
        self._sweep(stored)
        return stored

    def require_newest(self, attempt: int) -> None:
        """Checks that no server has started after this one.

        Args:
            attempt: This server start.

        Raises:
            FencedError: A newer attempt exists: stop.
        """
        newest = self.latest_attempt()
        if newest > attempt:
            raise FencedError(
                f"{self._bucket.uri(self._layout.attempts)}: this server is attempt {attempt}, "
                f"and attempt {newest} has started; stop this one"
            )

    def fetch_model(self, number: int, path: Path) -> Commit:
        """Writes a committed round's model to a file, checked against its commit.

        Raises:
            ChecksumMismatchError: The stored model is not the committed one; `path` is as it was.
            ObjectMissingError: The round is not committed, or its model is gone.
        """
        commit = self.read(number)
        key = self.model_key(commit)
        self._patiently(lambda: self._bucket.download_file(key, path, commit.sha256))
        return commit

    def fetch_strategy(self, commit: Commit, path: Path) -> None:
        """Writes what a round's strategy keeps to a file, checked; nothing where it keeps nothing.

        Raises:
            ChecksumMismatchError: The stored file is not the committed one.
            ObjectMissingError: It is gone.
        """
        kept = commit.strategy
        if kept is not None:
            key = self._layout.round_file(commit.round, kept.file)
            self._patiently(lambda: self._bucket.download_file(key, path, kept.sha256))

    def publish_result(self, number: int, files: Mapping[str, Path]) -> dict[str, Upload]:
        """Puts the job's result into model_out/.

        Args:
            number: The round that is the result; its `model.safetensors`, where it is among the
                files, must be the committed one.
            files: File name in model_out/ to local file.

        Returns:
            What is in the store now, by file name.

        Raises:
            ChecksumMismatchError: `model.safetensors` is not the model of this round; nothing is
                put.
        """
        commit = self.read(number)
        keys = {name: self._layout.result(name) for name in files}
        model = files.get(MODEL)
        if model is not None and sha256_of(model) != commit.sha256:
            raise ChecksumMismatchError(
                self._bucket.where(keys[MODEL]),
                f"{model} is not the model of round {number}",
                f"publish the file that fetch_model({number}) gives",
            )
        done: dict[str, Upload] = {}
        for name, path in files.items():
            sha256 = commit.sha256 if name == MODEL else None
            send = partial(self._bucket.upload_file, path, keys[name], sha256=sha256)
            done[name] = self._patiently(send)
        return done

    def _with_names(self, commit: Commit) -> Commit:
        names: dict[str, object] = {"model_file": self._layout.round_model_name(commit.sha256)}
        if commit.strategy is not None:
            name = self._layout.round_strategy_name(commit.strategy.sha256)
            names["strategy"] = commit.strategy.model_copy(update={"file": name})
        return commit.model_copy(update=names)

    def _patiently(self, operation: Callable[[], T]) -> T:
        # Reconnect on every retry: a pooled connection may be pinned to a bad endpoint.
        return self._patience.call(operation, self._bucket.close)

    def _list_commits(self) -> list[int]:
        return self._patiently(
            lambda: sorted(self._numbers(self._layout.rounds, self._layout.committed_round))
        )

    def _numbers(self, prefix: str, parse: Callable[[str], int | None]) -> list[int]:
        found = (parse(info.key) for info in self._bucket.list(prefix))
        return [number for number in found if number is not None]

    def _exists(self, key: str) -> bool:
        return self._patiently(lambda: self._bucket.head(key)) is not None

    def _put_once(self, key: str, body: bytes) -> bool:
        """Whether `body` is under `key` now, perhaps by an earlier try whose answer was lost."""

        def put() -> bool:
            try:
                self._bucket.put_bytes(key, body, if_absent=True)
            except AlreadyExistsError:
                return self._bucket.get_bytes(key, MAX_COMMIT) == body
            return True

        return self._patiently(put)

    def _require_readable(self, number: int, body: bytes) -> None:
        """A commit that no restart could read must not be written: the run would end with it."""
        try:
            Commit.model_validate_json(body)
        except ValidationError as error:
            raise CorruptCommitError(
                f"round {number}: its commit could not be read back "
                f"({error.errors()[0]['msg']}); nothing was written; report it with the server's "
                "log"
            ) from error
        if len(body) > MAX_COMMIT:
            raise CorruptCommitError(
                f"round {number}: its commit has {len(body)} bytes, at most {MAX_COMMIT} can be "
                "read back; return fewer metrics"
            )

    def _corrupt(self, number: int, found: str) -> CorruptCommitError:
        return CorruptCommitError(
            f"{self._bucket.uri(self._layout.commit(number))}: it is {found}; restore it, or "
            f"delete {self._bucket.uri(self._layout.round(number))} to run the round again"
        )

    def _settle(self, ours: Commit, body: bytes) -> Commit:
        """Ours, when what is committed is byte for byte ours; otherwise our model is dropped."""
        key = self._layout.commit(ours.round)
        if self._patiently(lambda: self._bucket.get_bytes(key, MAX_COMMIT)) == body:
            return ours
        theirs = self.read(ours.round)
        if theirs.model_file != ours.model_file:
            self._patiently(lambda: self._bucket.delete(self.model_key(ours)))
        raise RoundTakenError(
            f"{self._bucket.uri(key)}: attempt {theirs.attempt} committed round {ours.round}; go "
            f"on from it if this server (attempt {ours.attempt}) is the latest attempt, else stop"
        )

    def _sweep(self, winner: Commit) -> None:
        """Deletes models of this round that lost, or whose server died before it committed.

        Safe, because the commit exists: whoever still uploads one of them cannot commit it.
        """
        keep = {self.model_key(winner), self._layout.commit(winner.round)}
        if winner.strategy is not None:
            keep.add(self._layout.round_file(winner.round, winner.strategy.file))
        try:
            for info in list(self._bucket.list(self._layout.round(winner.round))):
                if info.key not in keep:
                    self._bucket.delete(info.key)
        except (StoreUnreachableError, ObjectMissingError):
            return  # the round is committed; models left behind only cost space
