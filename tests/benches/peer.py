"""The model of `backend.rs` in PyTorch: one command a line on stdin, seconds on stdout.

Run by `cargo xtask bench backend --python PYTHON`.
"""

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, to, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, to, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(to)
        self.conv2 = nn.Conv2d(to, to, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(to)
        self.stride, self.added = stride, to - channels

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            before = self.added // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.added - before))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self, depth, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for to in (16, 32, 64):
            for index in range((depth - 2) // 6):
                blocks.append(Block(channels, to, 2 if index == 0 and to > 16 else 1))
                channels = to
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean(dim=(2, 3)))


class WideBlock(nn.Module):
    def __init__(self, channels, to, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, to, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(to)
        self.conv2 = nn.Conv2d(to, to, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(channels, to, 1, stride, bias=False) if channels != to else None

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        x = self.shortcut(activated) if self.shortcut else x
        return self.conv2(F.relu(self.bn2(self.conv1(activated)))) + x


class WideResNet(nn.Module):
    def __init__(self, depth, widen, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        blocks, channels = [], 16
        for to, stride in ((16 * widen, 1), (32 * widen, 2), (64 * widen, 2)):
            for index in range((depth - 4) // 6):
                blocks.append(WideBlock(channels, to, stride if index == 0 else 1))
                channels = to
        self.blocks = nn.Sequential(*blocks)
        self.bn1 = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.blocks(self.conv1(x))))
        return self.linear(x.mean(dim=(2, 3)))


def main():
    config = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(config["threads"])
    card = config["card"]
    on_card = card is not None
    if on_card and torch.cuda.device_count() <= card:
        print(f"error: PyTorch {torch.__version__} finds no CUDA device {card}", flush=True)
        return
    device = torch.device("cuda", card) if on_card else torch.device("cpu")
    if on_card:
        torch.cuda.set_device(device)
    # The factors of products are not rounded on either side, and both choose among kernels by measuring them.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True

    def compiled(module):
        return torch.compile(module, mode=config["compile"]) if config["compile"] else module

    def finish():
        if on_card:
            torch.cuda.synchronize()

    batch, image = config["batch"], config["image"]
    depth, widen = config["depth"], config["widen"]
    network = WideResNet(depth, widen, image[0], 10) if widen else ResNet(depth, image[0], 10)
    images = torch.rand(batch, *image) * 2 - 1
    targets = torch.randint(0, 10, (batch,))
    if config["layout"] == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    rows = torch.rand(config["rows"], 64) * 2 - 1
    labels = torch.randint(0, 10, (config["rows"],))
    if on_card:
        images, targets, rows, labels = (tensor.pin_memory() for tensor in (images, targets, rows, labels))
    network = network.to(device)
    model = compiled(network)
    sgd = dict(lr=0.01, momentum=0.9, weight_decay=2e-4)
    optimizer = torch.optim.SGD(network.parameters(), **sgd)

    def upload(tensor):
        """Batches come from the host, as those of the backend do."""
        return tensor.to(device, non_blocking=True)

    def step():
        model.train()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(upload(images)), upload(targets)).backward()
        optimizer.step()

    def steps():
        for _ in range(config["steps"]):
            step()

    def forward():
        model.eval()
        with torch.inference_mode():
            model(upload(images)).cpu()

    linear = nn.Linear(64, 10).to(device)
    head_model = compiled(linear)

    def head():
        linear.reset_parameters()
        optimizer = torch.optim.SGD(linear.parameters(), **sgd)
        for _ in range(10):
            for start in range(0, config["rows"], batch):
                optimizer.zero_grad(set_to_none=True)
                logits = head_model(upload(rows[start : start + batch]))
                F.cross_entropy(logits, upload(labels[start : start + batch])).backward()
                optimizer.step()

    work = {"step": (step, 1), "steps": (steps, config["steps"]), "forward": (forward, 1), "head": (head, 1)}
    where = f" on {torch.cuda.get_device_name()}" if on_card else ""
    print(torch.__version__ + where, flush=True)
    for line in sys.stdin:
        command = line.strip()
        if command == "memory":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
        elif command == "card":
            print(torch.cuda.max_memory_allocated() / 2**20, flush=True)
        else:
            run, times = work[command]
            finish()
            began = time.perf_counter()
            run()
            finish()
            print((time.perf_counter() - began) / times, flush=True)


if __name__ == "__main__":
    main()
