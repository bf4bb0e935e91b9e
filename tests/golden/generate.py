"""Loss and gradients of a small ResNet in f64, and how far PyTorch's own f32 is from them.

Needs torch (2.11 or later) and numpy: python3 tests/golden/generate.py
Writes resnet8.json beside this file.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

BATCH, CLASSES, WIDTH, SIDE = 6, 5, 4, 12


def values(shape, key, scale, shift=0.0):
    """Values in [-scale, scale) + shift from whole numbers, the same in every language."""
    count = 1
    for length in shape:
        count *= length
    numbers = [((i * 48271 + key * 16807 + 11) * 69621 % 65537) / 32768.5 - 1.0 for i in range(count)]
    tensor = torch.tensor(numbers, dtype=torch.float64).mul(scale).add(shift)
    return tensor.to(torch.float32).reshape(shape)


def parameters():
    named, key = {}, 0

    def add(name, shape, scale, shift=0.0):
        nonlocal key
        key += 1
        named[name] = values(shape, key, scale, shift)

    def norm(name, channels):
        add(f"{name}.weight", [channels], 0.3, 1.0)
        add(f"{name}.bias", [channels], 0.2)

    add("conv1.weight", [WIDTH, 1, 3, 3], 0.5)
    norm("bn1", WIDTH)
    channels = WIDTH
    for stage in (1, 2, 3):
        to = WIDTH * 2 ** (stage - 1)
        add(f"layer{stage}.0.conv1.weight", [to, channels, 3, 3], 0.3)
        norm(f"layer{stage}.0.bn1", to)
        add(f"layer{stage}.0.conv2.weight", [to, to, 3, 3], 0.3)
        norm(f"layer{stage}.0.bn2", to)
        channels = to
    add("linear.weight", [CLASSES, channels], 0.4)
    add("linear.bias", [CLASSES], 0.1)
    return named


def loss_of(named, images, targets, weights):
    def norm(x, name):
        return F.batch_norm(x, None, None, named[f"{name}.weight"], named[f"{name}.bias"], True, 0.1, 1e-5)

    x = F.relu(norm(F.conv2d(images, named["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        block, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        y = F.conv2d(x, named[f"{block}.conv1.weight"], stride=stride, padding=1)
        y = F.relu(norm(y, f"{block}.bn1"))
        y = norm(F.conv2d(y, named[f"{block}.conv2.weight"], padding=1), f"{block}.bn2")
        if stride == 2:
            added = y.shape[1] - x.shape[1]
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added - added // 2))
        x = F.relu(y + x)
    logits = F.linear(x.mean(dim=(2, 3)), named["linear.weight"], named["linear.bias"])
    return F.cross_entropy(logits, targets, weight=weights)


def gradients(dtype):
    named = {name: value.to(dtype).requires_grad_() for name, value in parameters().items()}
    images = values([BATCH, 1, SIDE, SIDE], 101, 1.0).to(dtype)
    weights = values([CLASSES], 102, 0.5, 1.5).to(dtype)
    targets = torch.tensor([(3 * i + 1) % CLASSES for i in range(BATCH)])
    loss = loss_of(named, images, targets, weights)
    loss.backward()
    return loss.item(), {name: value.grad.to(torch.float64).flatten() for name, value in named.items()}


def main():
    torch.set_num_threads(1)
    loss, exact = gradients(torch.float64)
    rounded_loss, rounded = gradients(torch.float32)
    tensors = {}
    for name, values in exact.items():
        distance = ((rounded[name] - values).norm() / values.norm()).item()
        tensors[name] = {
            "pytorch_f32": float(f"{distance:.3e}"),
            "gradient": [float(f"{value:.9e}") for value in values.tolist()],
        }
    document = {
        "torch": torch.__version__,
        "loss": loss,
        "loss_f32": rounded_loss,
        "tensors": tensors,
    }
    path = pathlib.Path(__file__).with_name("resnet8.json")
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
