"""Fetches what a worker's answer refers to: bounded in bytes, from that worker alone.

An answer holds references to large tensors and arrays, which NVFlare's decomposers fetch while the
answer is decoded. Their own `download` has no limit; `nvflare_site.patches` replaces it.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from nvflare.apis.signal import Signal
from nvflare.app_common.decomposers.numpy_decomposers import NumpyArrayDecomposer
from nvflare.app_common.np.np_downloader import ArrayConsumer
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.app_opt.pt.tensor_downloader import TensorConsumer
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey
from nvflare.fuel.f3.streaming.download_service import download_object
from nvflare.fuel.utils import fobs

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.nvflare_site.patches import download_with

FETCH = "fedjob.fetch"
"""Key of the AnswerFetch in a FOBS context."""
_RECEIVED = "fedjob.received"
"""Key of the bytes fetched for one answer: NVFlare makes a context for each."""


class AnswerTooLargeError(FedjobError):
    """A worker sent more bytes than an answer to this model can have."""

    reason = Reason.RESULT_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"its answer has more than the {limit} bytes that an answer to this model may have; "
            "return model.state_dict() and nothing else"
        )


class AnswerLostError(FedjobError):
    """The connection broke while the answer was fetched; another try may succeed."""

    reason = Reason.WORKER_LOST


class AnswerFetch:
    """Fetches for the answers that arrive in this process.

    Args:
        limit: Bytes that an answer may have.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._under_way: dict[str, list[Signal]] = {}

    def fetch(self, consumer: Any, context: dict[str, Any], source: str, options: Any) -> Any:
        """Fetches one batch of tensors or arrays.

        Args:
            consumer: `BoundedTensors` or `BoundedArrays`.
            context: FOBS context of the answer.
            source: The cell that holds the batch.
            options: The other arguments of NVFlare's `download_object`.

        Raises:
            AnswerTooLargeError: It is more than an answer may have.
            AnswerLostError: It could not be fetched.
            ValueError: It is not with the worker that answered.
        """
        origin = str(context[fobs.FOBSContextKey.MESSAGE].get_header(MessageHeaderKey.ORIGIN))
        if origin.split(".")[0] != source.split(".")[0]:
            msg = f"it refers to weights of {source}"
            raise ValueError(msg)
        consumer.begin(context, self.limit)
        stop = Signal()
        self._under_way.setdefault(source, []).append(stop)
        try:
            download_object(
                from_fqcn=source, consumer=consumer, **{**options, "abort_signal": stop}
            )
        finally:
            self._under_way[source].remove(stop)
        if stop.triggered or consumer.too_large:
            raise AnswerTooLargeError(self.limit)
        if consumer.error:
            raise AnswerLostError(
                f"its weights could not be fetched: {consumer.error}"[:500]
                + "; check the network between worker and server"
            )
        return consumer.result

    def stop(self, source: str, why: str) -> None:
        """Ends what is being fetched from a cell."""
        for signal in list(self._under_way.get(source, [])):
            signal.trigger(why)


class _Counting:
    """Adds up what one answer brings, over all that it refers to, and stops at the limit."""

    too_large = False

    def begin(self, context: dict[str, Any], limit: int) -> None:
        self._context, self._limit = context, limit

    def count(self, size: int) -> None:
        self._context[_RECEIVED] = self._context.get(_RECEIVED, 0) + size
        if self._context[_RECEIVED] > self._limit:
            self.too_large = True
            raise AnswerTooLargeError(self._limit)


class BoundedTensors(_Counting, TensorConsumer):
    """Takes tensors up to the limit."""

    def __init__(self) -> None:
        TensorConsumer.__init__(self, None, {})

    def consume_items(self, items: list[Any], result: Any) -> Any:
        """Counts each item, then reads it."""
        for item in items:
            self.count(len(item))
        return TensorConsumer.consume_items(self, items, result)


class BoundedArrays(_Counting, ArrayConsumer):
    """Takes arrays up to the limit."""

    def __init__(self) -> None:
        ArrayConsumer.__init__(self, None, {})

    def consume_items(self, items: list[Any], result: Any) -> Any:
        """Counts what each item unpacks to (it is a ZIP), then reads it."""
        for item in items:
            with zipfile.ZipFile(io.BytesIO(item)) as archive:
                self.count(sum(entry.file_size for entry in archive.infolist()))
        return ArrayConsumer.consume_items(self, items, result)


def bound_decomposers() -> None:
    """Makes NVFlare's decomposers of this process fetch through the context's AnswerFetch."""
    download_with(TensorDecomposer, _download_with(BoundedTensors))
    download_with(NumpyArrayDecomposer, _download_with(BoundedArrays))


def _download_with(consumer: type[BoundedTensors] | type[BoundedArrays]) -> Any:
    def download(
        _decomposer: Any, from_fqcn: str, fobs_ctx: dict[str, Any], **options: Any
    ) -> tuple[str, Any]:
        return "", fobs_ctx[FETCH].fetch(consumer(), fobs_ctx, from_fqcn, options)

    return download
