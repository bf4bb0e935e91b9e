"""Models saved by PyTorch in the ways people save them, with PyTorch's predictions on the test images of the repository.

Needs torch and numpy: python3 tests/golden/generate_checkpoints.py
Writes the files in tests/golden/checkpoints. The networks are written down as their published PyTorch code has them:
akamaster's ResNet for CIFAR, torchvision's ResNet and xternalz's Wide ResNet; with few channels, to be small.
"""

import gzip
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "checkpoints"
DATA = HERE.parents[1] / "data" / "fashion-mnist-lt"
CLASSES = 10
# Test images that are written as pictures.
PICTURES = [0, 250, 990]


def idx(name):
    """The images of an IDX file, n × 1 × 28 × 28, in [0, 1]."""
    raw = gzip.decompress((DATA / name).read_bytes())
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28) / np.float32(255))


def conv(a, b, kernel, stride=1):
    return nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False)


class CifarBlock(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(a, b, 3, stride), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = conv(b, b, 3), nn.BatchNorm2d(b)
        self.added = b - a if stride != 1 or a != b else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added is not None:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """Of depth 6n + 2, with shortcuts of option A."""

    def __init__(self, depth, width, channels=1, classes=CLASSES):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, width, 3), nn.BatchNorm2d(width)
        a = width
        for stage in (1, 2, 3):
            b, made = width * 2 ** (stage - 1), []
            for i in range((depth - 2) // 6):
                made.append(CifarBlock(a, b, 2 if i == 0 and stage > 1 else 1))
                a = b
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.linear = nn.Linear(a, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(a), conv(a, b, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(b), conv(b, b, 3)
        self.equalInOut = a == b
        self.convShortcut = None if self.equalInOut else conv(a, b, 1, stride)

    def forward(self, x):
        y = F.relu(self.bn1(x))
        if not self.equalInOut:
            x = y
        y = self.conv2(F.relu(self.bn2(self.conv1(y))))
        return torch.add(x if self.equalInOut else self.convShortcut(x), y)


class NetworkBlock(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layer = nn.Sequential(*layers)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """Of depth 10 and width 3."""

    def __init__(self, widen):
        super().__init__()
        a, w = 3, 3 * widen
        self.conv1 = conv(1, a, 3)
        self.block1 = NetworkBlock([WideBlock(a, w, 1)])
        self.block2 = NetworkBlock([WideBlock(w, 2 * w, 2)])
        self.block3 = NetworkBlock([WideBlock(2 * w, 4 * w, 2)])
        self.bn1 = nn.BatchNorm2d(4 * w)
        self.fc = nn.Linear(4 * w, CLASSES)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


def settle(model, images):
    """Weights and running statistics that are not those of the beginning, or what forgets them would pass."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5), module.bias.normal_(0, 0.2)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0, 1)
        model.train()
        for batch in images[:512].split(128):
            model(batch)
    return model.eval()


def main():
    torch.manual_seed(3)
    torch.set_num_threads(1)
    train, test = idx("train-images-idx3-ubyte.gz"), idx("t10k-images-idx3-ubyte.gz")
    FOLDER.mkdir(exist_ok=True)
    for number in PICTURES:
        pixels = (test[number, 0] * 255).round().to(torch.uint8).numpy().tobytes()
        (FOLDER / f"image-{number}.pgm").write_bytes(b"P5 28 28 255\n" + pixels)
    mean, std = train.double().mean().float(), train.double().std(correction=0).float()
    train, test = (train - mean) / std, (test - mean) / std
    expected = {}

    def predict(name, model):
        logits = []
        with torch.no_grad():
            for batch in test.split(100):
                logits.append(model(batch))
        # Of one image in ten, so that the file stays small.
        expected[name] = torch.cat(logits)[::10].tolist()

    resnet = settle(CifarResNet(8, 4), train)
    predict("resnet8", resnet)
    torch.save(resnet.state_dict(), FOLDER / "resnet8.pth")
    # As the ImageNet example of PyTorch saves it, with DataParallel, in half precision on disk.
    optimizer = torch.optim.SGD(resnet.parameters(), lr=0.1, momentum=0.9)
    half = {f"module.{name}": tensor.half() if tensor.is_floating_point() else tensor for name, tensor in resnet.state_dict().items()}
    wrapped = {"epoch": 1, "arch": "resnet8", "state_dict": half, "best_acc1": torch.tensor(50.0), "optimizer": optimizer.state_dict()}
    torch.save(wrapped, FOLDER / "resnet8-half.pth")
    with torch.no_grad():
        for tensor in resnet.state_dict().values():
            tensor.copy_(tensor.half() if tensor.is_floating_point() else tensor)
    predict("resnet8-half", resnet)
    wide = settle(WideResNet(2), train)
    predict("wide-resnet", wide)
    torch.save(wide.state_dict(), FOLDER / "wide-resnet.pth")

    document = {"source": f"torch {torch.__version__.split('+')[0]}, f32", "every": 10, "logits": expected}
    (FOLDER / "logits.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
