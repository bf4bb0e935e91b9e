"""A ResNet-32 goes from PyTorch to Expanse and back: the same predictions on all 10 000 test images, the same bits.

Needs torch and numpy, and Fashion-MNIST (Debian: apt install dataset-fashion-mnist):

    cargo build && python3 tests/golden/checkpoint_round_trip.py

It trains for some steps in PyTorch, saves the state as DataParallel does, has `cargo xtask evaluate` write its logits,
compares them with PyTorch's, and loads what `cargo xtask checkpoint convert` has exported.
"""

import argparse
import gzip
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from generate_checkpoints import CifarResNet

ROOT = pathlib.Path(__file__).parents[2]


def read(folder, images, labels):
    data = lambda name, offset: np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=offset)
    pixels = data(images, 16).reshape(-1, 1, 28, 28) / np.float32(255)
    return torch.from_numpy(pixels), torch.from_numpy(data(labels, 8).astype(np.int64))


def xtask(*arguments):
    result = subprocess.run(["cargo", "--quiet", "xtask", *map(str, arguments)], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return result.stdout


def tensor(path, name):
    """One tensor of numbers with a point from a safetensors file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    told = json.loads(raw[8 : 8 + length])[name]
    start, end = told["data_offsets"]
    values = np.frombuffer(raw[8 + length + start : 8 + length + end], np.float32)
    return torch.from_numpy(values.reshape(told["shape"]).copy())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.manual_seed(0)
    train, labels = read(options.data, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    test, truth = read(options.data, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    mean, std = train.double().mean().float(), train.double().std(correction=0).float()
    train, test = (train - mean) / std, (test - mean) / std

    model = CifarResNet(32, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for batch in torch.randperm(len(train))[: 128 * options.steps].split(128):
        optimizer.zero_grad()
        F.cross_entropy(model(train[batch]), labels[batch]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        expected = torch.cat([model(batch) for batch in test.split(500)])

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        saved, rows, exported = folder / "resnet32.pth", folder / "rows.safetensors", folder / "exported.pth"
        state = {f"module.{name}": value for name, value in model.state_dict().items()}
        torch.save({"epoch": 1, "state_dict": state, "optimizer": optimizer.state_dict()}, saved)
        settings = ["data.profile=natural", "data.validation=0.0", "backbone.depth=32", "backbone.width=16"]
        settings = [word for setting in settings for word in ("--set", setting)]
        told = xtask("evaluate", "fashion-mnist-full-lt", "--no-build", "--checkpoint", saved, "--out", rows, "--format", "json", *settings)
        found = tensor(rows, "logits")
        between = folder / "between.safetensors"
        xtask("checkpoint", "convert", saved, between)
        xtask("checkpoint", "convert", between, exported)
        back = torch.load(exported, weights_only=True)

    distance = (found - expected).abs()
    accuracy = (expected.argmax(1) == truth).double().mean().item()
    print(f"torch {torch.__version__}: {len(expected)} test images, accuracy {accuracy:.4f}")
    print(f"accuracy here {json.loads(told)['scores']['accuracy']:.4f}")
    print(f"logits up to {expected.abs().max():.2f}; largest distance {distance.max():.2e}, mean {distance.mean():.2e}")
    print(f"classes that differ: {(found.argmax(1) != expected.argmax(1)).sum()}")
    again = CifarResNet(32, 16)
    again.load_state_dict(back, strict=True)
    original = model.state_dict()
    assert all(torch.equal(back[name], value) and back[name].dtype == value.dtype for name, value in original.items())
    again.eval()
    with torch.no_grad():
        assert torch.equal(torch.cat([again(batch) for batch in test.split(500)]), expected)
    print(f"exported and loaded with weights_only=True, strict: {len(back)} tensors bit-equal, and so all predictions")
    assert distance.max() <= 1e-4 and torch.equal(found.argmax(1), expected.argmax(1))


if __name__ == "__main__":
    main()
