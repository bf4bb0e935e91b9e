"""Files as torch.save writes them, and what they hold.

Needs torch and numpy: python3 crates/checkpoint/golden/generate.py
Writes kinds.pth, wrapped.pth, legacy.pth, scripted.pth and values.json beside this file.
"""

import json
import pathlib
from collections import OrderedDict

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


def kinds():
    """Every type, place and form that a state dictionary has."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7 - 1
    return OrderedDict(
        [
            ("f64", torch.tensor([1 / 3, -2.5e-300], dtype=torch.float64)),
            ("f32", torch.tensor([[1.5, -0.0], [3.4e38, 1e-45]])),
            ("f16", torch.tensor([1 / 3, 65504.0, -6e-8, 0.0], dtype=torch.float16)),
            ("bf16", torch.tensor([1 / 3, -3e38], dtype=torch.bfloat16)),
            ("i64", torch.tensor(2**40 + 1)),
            ("i32", torch.tensor([-(2**31)], dtype=torch.int32)),
            ("i16", torch.tensor([-300], dtype=torch.int16)),
            ("i8", torch.tensor([-128, 127], dtype=torch.int8)),
            ("u8", torch.tensor([200], dtype=torch.uint8)),
            ("bool", torch.tensor([True, False])),
            ("whole", base),
            ("transposed", base.t()),
            ("part", base[1:3, ::2]),
            ("column", base[:, 4]),
            ("permuted", base.reshape(2, 3, 4).permute(2, 0, 1)),
            ("empty", torch.zeros(0, 3)),
            ("parameter", nn.Parameter(torch.tensor([0.25, 0.5]))),
        ]
    )


def network():
    torch.manual_seed(1)
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))
    model(torch.randn(4, 1, 5, 5)).square().mean().backward()
    return model


def main():
    state = kinds()
    torch.save(state, HERE / "kinds.pth")

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    parallel = OrderedDict((f"module.{name}", tensor) for name, tensor in model.state_dict().items())
    wrapped = {"epoch": 3, "best_acc1": torch.tensor(0.5), "state_dict": parallel, "optimizer": optimizer.state_dict()}
    torch.save(wrapped, HERE / "wrapped.pth")
    torch.save(model.state_dict(), HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(model), HERE / "scripted.pth")

    def told(tensors):
        values = lambda t: [v for v in (t.float() if t.is_floating_point() else t.long()).flatten().tolist()]
        return {name: {"shape": list(t.shape), "values": values(t.detach())} for name, t in tensors.items()}

    document = {
        "torch": torch.__version__.split("+")[0],
        "kinds": told(state),
        "wrapped": told(model.state_dict()),
    }
    (HERE / "values.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
