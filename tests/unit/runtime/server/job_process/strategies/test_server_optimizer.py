"""What a server optimizer steps, what it averages, and what it keeps."""

from __future__ import annotations

import torch

from fedjob_runtime.server.job_process.strategies.adaptive import Adam
from fedjob_runtime.server.job_process.strategies.server_momentum import ServerMomentum
from fedjob_runtime.server.job_process.strategies.server_optimizer import OptimizedMean


def one_round(mean: OptimizedMean, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    mean.add(weights, 5, "worker-0")
    return mean.result()


def test_running_statistics_are_averaged_where_the_parameters_are_known() -> None:
    reference = {"w": torch.ones(4), "running_var": torch.ones(4)}
    answer = {"w": torch.zeros(4), "running_var": torch.full((4,), 1e-6)}
    known = OptimizedMean(Adam(learning_rate=10.0), reference, {}, parameters=["w"])
    assert one_round(known, answer)["running_var"].equal(answer["running_var"])
    assert list(known.state()) == ["first.w", "second.w"]
    unknown = OptimizedMean(Adam(learning_rate=10.0), reference, {})
    assert float(one_round(unknown, answer)["running_var"].min()) < 0


def test_small_differences_of_a_bfloat16_model_reach_the_momentum() -> None:
    reference = {"w": torch.ones(8, dtype=torch.bfloat16)}
    mean = OptimizedMean(ServerMomentum(), reference, {})
    larger = torch.full((8,), 1 + 2**-7, dtype=torch.bfloat16)
    mean.add({"w": larger}, 1, "worker-0")
    mean.add(reference, 7, "worker-1")
    assert mean.result()["w"].dtype is torch.bfloat16
    velocity = mean.state()["velocity.w"]
    assert velocity.dtype is torch.float32
    torch.testing.assert_close(velocity, torch.full((8,), 2**-10))


def test_a_tensor_that_nobody_sent_only_follows_its_momentum() -> None:
    reference = {"w": torch.zeros(2), "frozen": torch.ones(2)}
    mean = OptimizedMean(ServerMomentum(), reference, {"velocity.w": torch.ones(2)})
    result = one_round(mean, {"w": torch.zeros(2)})
    assert result["w"].tolist() == [0.9, 0.9] or torch.allclose(result["w"], torch.tensor(0.9))
    assert result["frozen"].equal(reference["frozen"])


def test_complex_values_and_infinite_masks() -> None:
    mask = torch.tensor([0.0, float("-inf")])
    reference = {"c": torch.zeros(3, dtype=torch.complex64), "mask": mask}
    mean = OptimizedMean(ServerMomentum(), reference, {})
    result = one_round(mean, {"c": torch.full((3,), 1 + 2j), "mask": mask})
    torch.testing.assert_close(result["c"], torch.full((3,), 1 + 2j))
    assert result["mask"].equal(mask)
    assert mean.state()["velocity.c"].shape == (3, 2)


def test_without_a_model_the_first_answers_make_it() -> None:
    mean = OptimizedMean(Adam(), {}, {})
    assert one_round(mean, {"w": torch.full((2,), 3.0)})["w"].tolist() == [3.0, 3.0]
    assert mean.state() == {}


def test_state_of_another_shape_is_begun_again() -> None:
    mean = OptimizedMean(ServerMomentum(), {"w": torch.zeros(2)}, {"velocity.w": torch.ones(3)})
    assert one_round(mean, {"w": torch.ones(2)})["w"].tolist() == [1.0, 1.0]


def test_the_state_given_is_not_changed() -> None:
    kept = {"velocity.w": torch.ones(2)}
    one_round(OptimizedMean(ServerMomentum(), {"w": torch.zeros(2)}, kept), {"w": torch.ones(2)})
    assert kept["velocity.w"].tolist() == [1.0, 1.0]
