"""What a training function's weights may look like, and how they become the model's.

Here: arrays, wrappers' prefixes, tied weights, whole floats for integers, parts and differences of
the global model. Not here: where in the answer the weights are (`returns`), and whether the result
fits the model (`weights_check`).
"""
