import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)


def fl_train(model, env, out_dir, logger=None):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(200, 20, generator=g)
    y = (x.sum(1) > 0).long()
    start = time.time()
    loader = DataLoader(
        TensorDataset(x, y), batch_size=20, num_workers=int(env.get("loader_workers", 2))
    )
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for a, b in loader:
        loss = nn.functional.cross_entropy(model(a), b)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return {
        "weights": model.state_dict(),
        "samples": 200,
        "metrics": {"loss": loss.item(), "epoch_seconds": time.time() - start},
    }
