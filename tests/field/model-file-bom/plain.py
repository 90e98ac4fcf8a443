from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.head = nn.Linear(192, num_classes)

    def forward(self, x):
        return self.head(x.flatten(1))
