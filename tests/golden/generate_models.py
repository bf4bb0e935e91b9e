"""Writes models.json and models/*.safetensors: small models with a batch, their logits and all gradients, as PyTorch
computes them in f64.

Run as `python generate_models.py` with torch 2.15.0. The networks are written down here as their published PyTorch code
has them: akamaster's ResNet for CIFAR, torchvision's ResNet, xternalz's Wide ResNet and andreasveit's DenseNet-BC.
"""

import copy
import json
import struct
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).parent
CLASSES, BATCH = 5, 4


def conv(a, b, kernel, stride=1):
    return nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False)


class CifarBlock(nn.Module):
    def __init__(self, a, b, stride, option):
        super().__init__()
        self.conv1, self.bn1 = conv(a, b, 3, stride), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = conv(b, b, 3), nn.BatchNorm2d(b)
        self.padding = None
        if stride != 1 or a != b:
            if option == "A":
                self.padding = (b // 4, b // 4)
            else:
                self.shortcut = nn.Sequential(conv(a, b, 1, stride), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.padding:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, *self.padding))
        elif hasattr(self, "shortcut"):
            x = self.shortcut(x)
        return F.relu(y + x)


class CifarResNet(nn.Module):
    def __init__(self, channels, depth, width, shortcut="A"):
        super().__init__()
        n = (depth - 2) // 6
        self.conv1, self.bn1 = conv(channels, width, 3), nn.BatchNorm2d(width)
        self.layer1 = self.stage(width, width, n, 1, shortcut)
        self.layer2 = self.stage(width, 2 * width, n, 2, shortcut)
        self.layer3 = self.stage(2 * width, 4 * width, n, 2, shortcut)
        self.features = 4 * width

    def stage(self, a, b, n, stride, option):
        return nn.Sequential(*[CifarBlock(a if i == 0 else b, b, stride if i == 0 else 1, option) for i in range(n)])

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return x.mean((2, 3))


class Residual(nn.Module):
    def __init__(self, a, inner, stride, bottleneck):
        super().__init__()
        b = 4 * inner if bottleneck else inner
        if bottleneck:
            self.conv1, self.bn1 = conv(a, inner, 1), nn.BatchNorm2d(inner)
            self.conv2, self.bn2 = conv(inner, inner, 3, stride), nn.BatchNorm2d(inner)
            self.conv3, self.bn3 = conv(inner, b, 1), nn.BatchNorm2d(b)
        else:
            self.conv1, self.bn1 = conv(a, inner, 3, stride), nn.BatchNorm2d(inner)
            self.conv2, self.bn2 = conv(inner, inner, 3), nn.BatchNorm2d(inner)
        self.bottleneck = bottleneck
        self.downsample = None
        if stride != 1 or a != b:
            self.downsample = nn.Sequential(conv(a, b, 1, stride), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ImageNetResNet(nn.Module):
    def __init__(self, channels, depth, width):
        super().__init__()
        blocks = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth]
        self.conv1, self.bn1 = conv(channels, width, 7, 2), nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        a = width
        for stage, count in enumerate(blocks):
            inner, made = width << stage, []
            for i in range(count):
                made.append(Residual(a, inner, 2 if i == 0 and stage > 0 else 1, depth == 50))
                a = inner * (4 if depth == 50 else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.features = a

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


class WideBlock(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(a), conv(a, b, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(b), conv(b, b, 3)
        self.equal = a == b
        if not self.equal:
            self.shortcut = conv(a, b, 1, stride)

    def forward(self, x):
        y = F.relu(self.bn1(x))
        if not self.equal:
            x = y
        y = self.conv2(F.relu(self.bn2(self.conv1(y))))
        return torch.add(x if self.equal else self.shortcut(x), y)


class Layers(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layer = nn.Sequential(*layers)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, channels, depth, widen, width):
        super().__init__()
        n, w = (depth - 4) // 6, width * widen
        self.conv1 = conv(channels, width, 3)
        stage = lambda a, b, s: Layers(*[WideBlock(a if i == 0 else b, b, s if i == 0 else 1) for i in range(n)])
        self.block1, self.block2, self.block3 = stage(width, w, 1), stage(w, 2 * w, 2), stage(2 * w, 4 * w, 2)
        self.bn1 = nn.BatchNorm2d(4 * w)
        self.features = 4 * w

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return F.relu(self.bn1(x)).mean((2, 3))


class DenseLayer(nn.Module):
    def __init__(self, a, k):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(a), conv(a, 4 * k, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * k), conv(4 * k, k, 3)

    def forward(self, x):
        y = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(a), conv(a, a // 2, 1)

    def forward(self, x):
        return F.avg_pool2d(self.conv1(F.relu(self.bn1(x))), 2)


class DenseNet(nn.Module):
    def __init__(self, channels, depth, growth):
        super().__init__()
        n, a = (depth - 4) // 6, 2 * growth
        self.conv1 = conv(channels, a, 3)
        for stage in (1, 2, 3):
            setattr(self, f"block{stage}", Layers(*[DenseLayer(a + i * growth, growth) for i in range(n)]))
            a += n * growth
            if stage < 3:
                setattr(self, f"trans{stage}", Transition(a))
                a //= 2
        self.bn1 = nn.BatchNorm2d(a)
        self.features = a

    def forward(self, x):
        x = self.trans1(self.block1(self.conv1(x)))
        x = self.block3(self.trans2(self.block2(x)))
        return F.relu(self.bn1(x)).mean((2, 3))


class Linear(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.linear = nn.Linear(features, CLASSES)

    def forward(self, x):
        return self.linear(x)


class Cosine(nn.Module):
    def __init__(self, features, scale=1.0):
        super().__init__()
        self.linear = nn.Linear(features, CLASSES, bias=False)
        self.scale = scale

    def forward(self, x):
        return self.scale * F.linear(F.normalize(x), F.normalize(self.linear.weight))


class Mlp(nn.Module):
    def __init__(self, features, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(features, hidden), nn.Linear(hidden, CLASSES)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


BACKBONES = {
    "resnet": CifarResNet,
    "resnet-imagenet": ImageNetResNet,
    "wide-resnet": WideResNet,
    "densenet": DenseNet,
}
HEADS = {"linear": Linear, "cosine": Cosine, "mlp": Mlp}
MODELS = [
    ("resnet-a", "resnet", {"depth": 14, "width": 4}, "linear", {}, [3, 12, 12]),
    ("resnet-b", "resnet", {"depth": 8, "width": 4, "shortcut": "B"}, "cosine", {"scale": 10.0}, [1, 9, 11]),
    ("resnet-18", "resnet-imagenet", {"depth": 18, "width": 2}, "mlp", {"hidden": 7}, [3, 64, 64]),
    ("resnet-50", "resnet-imagenet", {"depth": 50, "width": 2}, "linear", {}, [1, 48, 48]),
    ("wide-resnet", "wide-resnet", {"depth": 10, "widen": 2, "width": 3}, "linear", {}, [3, 12, 12]),
    ("densenet", "densenet", {"depth": 16, "growth": 3}, "cosine", {}, [3, 12, 12]),
]


def write(path, tensors):
    header, data = {}, b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.detach().float().contiguous().numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


torch.manual_seed(6)
index = []
for file, backbone, backbone_options, head, head_options, image in MODELS:
    network = BACKBONES[backbone](image[0], **backbone_options)
    classifier = HEADS[head](network.features, **head_options)
    with torch.no_grad():
        for name, tensor in [*network.state_dict().items(), *classifier.state_dict().items()]:
            # Scales, shifts and running statistics that are not 1 and 0, or what forgets them would pass.
            if "bn" in name or ".1." in name and tensor.dim() == 1:
                if tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5) if name.endswith(("weight", "var")) else tensor.normal_(0, 0.2)
    images, targets = torch.randn(BATCH, *image), torch.arange(BATCH) % CLASSES
    weights = torch.tensor([0.25, 0.5, 1.0, 1.25, 2.0])
    # How far PyTorch's own f32 is from its f64: in a deep and narrow network rounding grows on the way.
    single = nn.Sequential(copy.deepcopy(network), copy.deepcopy(classifier))
    F.cross_entropy(single(images), targets, weight=weights).backward()
    network.double(), classifier.double()
    state = {**network.state_dict(), **classifier.state_dict()}
    tensors = {f"parameter/{k}": v.clone() for k, v in state.items() if not k.endswith("num_batches_tracked")}
    network.eval()
    tensors["evaluated"] = classifier(network(images.double()))
    network.train()
    loss = F.cross_entropy(classifier(network(images.double())), targets, weight=weights.double())
    loss.backward()
    for module in (network, classifier):
        tensors.update({f"gradient/{k}": v.grad for k, v in module.named_parameters()})
    tensors |= {"images": images, "class_weights": weights, "loss": loss.reshape(1)}
    exact = [*network.parameters(), *classifier.parameters()]
    pairs = [(a.grad, b.grad) for a, b in zip(single.parameters(), exact)]
    error = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
    write(HERE / "models" / f"{file}.safetensors", tensors)
    index.append({
        "file": file,
        "backbone": backbone,
        "backbone_options": backbone_options,
        "head": head,
        "head_options": head_options,
        "f32_error": error,
        "features": network.features,
        "classes": CLASSES,
        "targets": targets.tolist(),
    })
source = f"torch {torch.__version__.split('+')[0]}, f64"
(HERE / "models.json").write_text(json.dumps({"source": source, "models": index}, indent=1) + "\n")
