"""The training function of warm_start.py, in a module of its own."""


def train_once(payload):
    weights = {name: value + 1 for name, value in payload["initial_weights"].items()}
    return {"weights": weights, "samples": 1}
