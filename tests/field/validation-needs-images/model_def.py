import torch
from torch import nn


def data(env):
    g = torch.Generator().manual_seed(int(env["CURRENT_ROUND"]))
    x = torch.randn(64, 20, generator=g)
    return x, (x.sum(1) > 0).long()


def fit(model, env):
    x, y = data(env)
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(5):
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


class Net(nn.Module):
    """Text or tabular model; nobody wrote fl_validate, the shards hold no images."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, x):
        return self.body(x)


def fl_train(model, env, out_dir, logger=None):
    loss = fit(model, env)
    return {"weights": model.state_dict(), "samples": 64, "metrics": {"loss": loss}}
