from torch import nn
from torch.utils.data import DataLoader, Dataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(20, 2)

    def forward(self, x):
        return self.body(x)


class Rows(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, i):
        try:
            return {"a": 1}["label"]  # the fault to be found
        except KeyError as error:
            raise RuntimeError("applying transform <Compose object at 0x7fa07b23ba90>") from error


def fl_train(model, env, out_dir, logger=None):
    for _x in DataLoader(Rows(), batch_size=8, num_workers=int(env.get("loader_workers", 1))):
        pass
    return {"weights": model.state_dict(), "samples": 64}
