"""What can go wrong around the user's code: a class a reason, naming the worker and a fix."""

from __future__ import annotations

from fedjob.errors import FedjobError
from fedjob.reasons import Reason


class TrainingError(FedjobError):
    """Base of this package's errors.

    Attributes:
        reason: Its name in the catalogue of reasons (docs/reference/reasons/<reason>.md).
        problem: What is wrong, with what was given.
        fix: What to do instead.
        worker: Whose result, code or data it is; empty until it is known.
        where: File and line of the user's code, such as `model_def.py line 12, in step`; may be
            empty.
        tensor: The tensor at fault; may be empty.
    """

    reason = Reason.TRAINING_FAILED

    def __init__(
        self, problem: str, fix: str, *, worker: str = "", where: str = "", tensor: str = ""
    ) -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix
        self.worker = worker
        self.where = where
        self.tensor = tensor

    @property
    def brief(self) -> str:
        """Who, what, where and the fix, on one line."""
        who = f"{self.worker}: " if self.worker else ""
        where = f" ({self.where})" if self.where else ""
        return f"{who}{self.problem}{where}; {self.fix}"

    def __str__(self) -> str:
        return self.brief


class UserCodeError(TrainingError):
    """The user's function raised, or left through sys.exit.

    Attributes:
        exception_type: Name of the exception's class.
        file: The user's file, or the one that raised where no line of theirs took part.
        line: Its line, from 1; 0 where unknown.
        tail: The traceback's last lines.
    """

    def __init__(
        self,
        problem: str,
        fix: str,
        *,
        worker: str = "",
        where: str = "",
        exception_type: str = "",
        file: str = "",
        line: int = 0,
        tail: str = "",
    ) -> None:
        super().__init__(problem, fix, worker=worker, where=where)
        self.exception_type = exception_type
        self.file = file
        self.line = line
        self.tail = tail

    def __str__(self) -> str:
        if not self.tail:
            return super().__str__()
        who = f"{self.worker}: " if self.worker else ""
        where = f" ({self.where})" if self.where else ""
        return f"{who}{self.problem}{where}:\n{self.tail}\n{self.fix}"


class OutOfMemoryInTraining(TrainingError):  # noqa: N818 (the brief's and the catalogue's name)
    """The worker's memory, or its GPU's, did not suffice; not to be retried as it is (row 30)."""

    reason = Reason.OUT_OF_MEMORY


class ModelInvalidError(TrainingError):
    """model_def.py cannot be loaded, or its class gives no model."""

    reason = Reason.MODEL_INVALID


class TrainFunctionInvalidError(TrainingError):
    """The training or validation function cannot be called as CONTRACT section 1 says."""

    reason = Reason.TRAIN_FUNCTION_INVALID


class CheckpointInvalidError(TrainingError):
    """A weights file cannot be read as weights."""

    reason = Reason.CHECKPOINT_INVALID


class InvalidResultError(TrainingError):
    """What the function returned is not the dict that CONTRACT section 1 asks for."""

    reason = Reason.INVALID_RESULT


class MissingWeightsError(InvalidResultError):
    """No weights were returned, nor left in a file."""

    reason = Reason.MISSING_WEIGHTS


class InvalidSamplesError(InvalidResultError):
    """`samples` is not a whole number above 0."""

    reason = Reason.INVALID_SAMPLES


class AnswerDamagedError(InvalidResultError):
    """The weights that arrived are not those that the worker sent."""

    reason = Reason.CHECKSUM_MISMATCH


class WeightsError(TrainingError):
    """Weights that do not fit the model."""

    reason = Reason.INVALID_WEIGHTS


class EmptyWeightsError(WeightsError):
    """No tensors at all."""

    reason = Reason.EMPTY_WEIGHTS


class MissingTensorError(WeightsError):
    """A tensor of the model is not among them."""

    reason = Reason.MISSING_TENSOR


class UnexpectedTensorError(WeightsError):
    """A name that the model does not have, or a value that is not a tensor."""

    reason = Reason.UNEXPECTED_TENSOR


class ShapeMismatchError(WeightsError):
    """A tensor has another shape than the model's."""

    reason = Reason.SHAPE_MISMATCH


class DtypeMismatchError(WeightsError):
    """A tensor's values cannot be held in the model's dtype."""

    reason = Reason.DTYPE_MISMATCH


class NonFiniteWeightsError(WeightsError):
    """NaN or infinity among the weights."""

    reason = Reason.NON_FINITE_WEIGHTS


class DatasetInvalidError(TrainingError):
    """The manifest or one of its lines cannot be used."""

    reason = Reason.DATASET_INVALID


class ImageError(TrainingError):
    """An image cannot be had; base of the three below."""

    reason = Reason.IMAGE_INVALID


class ImageRefusedError(ImageError):
    """Where the image is, or how large it is, is not allowed (row 19)."""

    reason = Reason.IMAGE_REFUSED


class ImageUnavailableError(ImageError):
    """The image is not there, or its server does not answer."""

    reason = Reason.IMAGE_UNAVAILABLE


class ImageInvalidError(ImageError):
    """What was found there is not an image that can be decoded."""
