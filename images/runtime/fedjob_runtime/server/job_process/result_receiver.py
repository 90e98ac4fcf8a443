"""Receives the workers' answers: bounded by the model's size, and never fatal.

A worker is not trusted. NVFlare ends the server's job process when an answer cannot be decoded, and
takes an answer of any size: one worker could end every round, or fill the memory. Here such an
answer is refused, its worker is named, and the round continues with the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nvflare.apis.fl_constant import ServerCommandNames
from nvflare.fuel.f3.cellnet.cell import Adapter, Cell
from nvflare.fuel.f3.cellnet.defs import CellChannel, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.utils import decode_payload, make_reply
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey
from nvflare.fuel.f3.streaming.stream_types import BlobSizeError, StreamFuture
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.nvflare_site.patches import limit_messages, wrap_replies
from fedjob_runtime.server.job_process.bounded_download import (
    FETCH,
    AnswerFetch,
    AnswerTooLargeError,
    bound_decomposers,
)
from fedjob_runtime.server.job_process.round_results import TaskKey

SLACK_BYTES = 16 << 20
"""Bytes beside the weights: metrics, names, NVFlare's own fields."""
FACTOR = 2
"""An answer in float64 to a float32 model is twice its size."""
FIRST_ANSWER_BYTES = 8 << 30
"""Where the first answers make the model."""
_FIX = "answer with tensors, arrays, numbers and text only"


def answer_limit(weights: dict[str, Tensor]) -> int:
    """Bytes that a worker's answer to this model may have; no weights: there is no model yet."""
    if not weights:
        return FIRST_ANSWER_BYTES
    return FACTOR * sum(t.numel() * t.element_size() for t in weights.values()) + SLACK_BYTES


class ResultReceiver(Adapter):
    """Handles results in a server's job process before NVFlare does.

    Args:
        cell: The job process's cell.
        deliver: NVFlare's handling of a decoded result.
        limit: Bytes that an answer may have.
        task_of: The task that a worker was given last: bytes that cannot be decoded do not name
            their task, and a worker answers one task before it asks for the next.
        refuse: Called with (worker, task, reason, message) for every answer that is not taken.
    """

    def __init__(
        self,
        cell: Cell,
        deliver: Callable[[Message], Message],
        limit: int,
        task_of: Callable[[str], TaskKey | None],
        refuse: Callable[[str, TaskKey | None, str, str], None],
    ) -> None:
        super().__init__(deliver, cell.core_cell.my_info, cell)
        self._fetch = AnswerFetch(limit)
        self._task_of = task_of
        self._refuse = refuse

    def open(self) -> None:
        """Takes over; nothing larger than an answer is received from now on."""
        bound_decomposers()
        self.cell.update_fobs_context({FETCH: self._fetch})
        results = (CellChannel.SERVER_COMMAND, ServerCommandNames.SUBMIT_UPDATE)
        self.cell.register_blob_cb(*results, self.call)
        limit_messages(self.cell, self._fetch.limit)
        wrap_replies(self.cell, self._watched)

    def call(self, future: StreamFuture, *args: Any, **kwargs: Any) -> None:
        """Takes one result; NVFlare calls it when the first bytes have come."""
        headers = future.headers
        # NVFlare has checked that the origin is the one its certificate and token are for.
        worker = str(headers.get(MessageHeaderKey.ORIGIN, "")).split(".")[0]
        # Read now: while the answer is fetched and decoded, the round may end and the next begin.
        task = self._task_of(worker)
        try:
            payload = future.result()
        except BlobSizeError:
            self._note(worker, task, AnswerTooLargeError(self._fetch.limit))
            raise
        request = Message(headers, payload)
        topic = headers.get(StreamHeaderKey.TOPIC)
        channel = headers.get(StreamHeaderKey.CHANNEL)
        context = self.cell.get_fobs_context()
        try:
            decode_payload(request, StreamHeaderKey.PAYLOAD_ENCODING, fobs_ctx=context)
        except Exception as error:  # noqa: BLE001 (a worker's bytes may raise anything in a decoder)
            self._note(worker, task, error)
            # Acknowledged, or NVFlare's client would send it again at once.
            response = make_reply(ReturnCode.OK)
        else:
            request.set_header(MessageHeaderKey.CHANNEL, channel)
            request.set_header(MessageHeaderKey.TOPIC, topic)
            response = self.cb(request)
        self._send_response(
            response,
            headers.get(StreamHeaderKey.STREAM_REQ_ID, ""),
            headers.get(MessageHeaderKey.REQ_ID, ""),
            channel,
            topic,
            headers.get(MessageHeaderKey.ORIGIN),
            headers.get(MessageHeaderKey.SECURE, False),
        )

    def _watched(self, take_reply: Callable[..., None]) -> Callable[..., None]:
        def watched(future: StreamFuture, *args: Any, **kwargs: Any) -> None:
            if isinstance(future.error, BlobSizeError):
                # NVFlare treats it as a timeout, and would ask three times more.
                origin = str(future.headers.get(MessageHeaderKey.ORIGIN))
                self._fetch.stop(origin, str(future.error))
            take_reply(future, *args, **kwargs)

        return watched

    def _note(self, worker: str, task: TaskKey | None, error: Exception) -> None:
        if isinstance(error, FedjobError):
            reason, text = error.reason, str(error)
        else:
            reason = Reason.INVALID_RESULT
            text = f"its answer cannot be decoded: {type(error).__name__}: {error}"[:500]
            text = f"{text}; {_FIX}"
        self._refuse(worker, task, reason, f"{worker}: {text}")
