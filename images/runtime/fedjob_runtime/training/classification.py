"""Loss and metrics of classification, the same in training and in evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, pad

from fedjob_runtime.training.errors import TrainFunctionInvalidError


def multi_label_loss(logits: object, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy.

    Args:
        logits: [N, C], before the sigmoid.
        labels: [N, C], multi-hot.

    Raises:
        TrainFunctionInvalidError: The model's output is something else.
    """
    if not isinstance(logits, Tensor) or logits.shape != labels.shape:
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TrainFunctionInvalidError(
            f"the model's output is {shape}, the labels are {list(labels.shape)} (batch, classes)",
            "end the model with nn.Linear(..., num_classes), or write fl_train and fl_validate",
        )
    return binary_cross_entropy_with_logits(logits, labels)


def single_label_loss(logits: object, labels: Tensor) -> Tensor:
    """Mean cross-entropy: what a model with one label a sample is mostly trained with.

    Args:
        logits: [N, C], before the softmax.
        labels: [N, C], one-hot.

    Raises:
        TrainFunctionInvalidError: The model's output is something else.
    """
    multi_label_loss(logits, labels)  # the same demands on the output
    assert isinstance(logits, Tensor)  # noqa: S101 - for mypy: just checked
    return cross_entropy(logits, labels.argmax(1))


def widened(labels: Tensor, logits: object) -> Tensor:
    """Labels with as many classes as the model has outputs, where it has more of them.

    Args:
        labels: [N, C], multi-hot.
        logits: The model's output.

    Returns:
        [N, D] for an output of [N, D] with D above C, else the labels as they are.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[1] <= labels.shape[1]:
        return labels
    return pad(labels, (0, logits.shape[1] - labels.shape[1]))


@dataclass(slots=True)
class Tally:
    """Sums over batches; float64, so that a million samples add up.

    Attributes:
        single_label: Every sample has one label: accuracy is that of the highest logit. Otherwise
            accuracy is over all (sample, class) pairs at probability 0.5, and micro_f1 is added.
    """

    single_label: bool
    samples: int = 0
    loss: float = 0.0
    correct: float = 0.0
    true_positive: int = 0
    positive: int = 0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Counts one batch: logits and labels [N, C], their mean loss."""
        size = labels.shape[0]
        self.samples += size
        self.loss += float(loss.detach()) * size
        if self.single_label:
            self.correct += float((logits.argmax(1) == labels.argmax(1)).sum())
            return
        predicted, present = logits.detach() > 0, labels > 0.5
        self.correct += float((predicted == present).double().mean(1).sum())
        self.true_positive += int((predicted & present).sum())
        self.positive += int(predicted.sum() + present.sum())

    def metrics(self) -> dict[str, float]:
        """`loss`, `accuracy` and, for multi-label, `micro_f1` (1 where there are no labels)."""
        result = {"loss": self.loss / self.samples, "accuracy": self.correct / self.samples}
        if not self.single_label:
            result["micro_f1"] = 2 * self.true_positive / self.positive if self.positive else 1.0
        return result
