"""Writes optimizers.json: two parameters after each of a few steps, as the optimisers of PyTorch move them in f64.

Run as `python generate_optimizers.py` with torch 2.15.0. The gradients are given, so that nothing but the optimiser is
tested; some are huge, tiny or 0.
"""

import json
from pathlib import Path

import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
SHAPES = [[19], [2, 3]]
STEPS, RATES = 5, [0.1, 0.1, 0.01, 0.05, 1e-4]
METHODS = {
    "sgd": lambda ps, momentum, decay: torch.optim.SGD(ps, momentum=momentum, weight_decay=decay),
    "nesterov": lambda ps, momentum, decay: torch.optim.SGD(
        ps, momentum=momentum, weight_decay=decay, nesterov=True
    ),
    "adam": lambda ps, beta, decay: torch.optim.Adam(ps, betas=(beta, 0.999), weight_decay=decay),
    "adamw": lambda ps, beta, decay: torch.optim.AdamW(ps, betas=(beta, 0.999), weight_decay=decay),
}


def floats(tensor):
    """Values that are the same in f32."""
    return tensor.to(torch.float32).to(torch.float64)


def gradients(scale):
    drawn = [[floats(torch.randn(shape) * scale) for shape in SHAPES] for _ in range(STEPS)]
    for step, (first, _) in enumerate(drawn):
        first[0], first[1] = 0.0, 1e-20 * (step + 1)
        if scale == 1.0:
            first[2], first[3] = 1e4, -1e4
    return drawn


def case(method, momentum, decay, clip, scale):
    start = [floats(torch.randn(shape)) for shape in SHAPES]
    parameters = [torch.nn.Parameter(values.clone()) for values in start]
    optimizer = METHODS[method](parameters, momentum, decay)
    given, after = gradients(scale), []
    for rate, step in zip(RATES, given):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for parameter, gradient in zip(parameters, step):
            parameter.grad = gradient.clone()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        after.append([parameter.detach().flatten().tolist() for parameter in parameters])
    optimizer = {"momentum": momentum, "weight_decay": decay, "method": method}
    return {
        "optimizer": optimizer | ({} if clip is None else {"clip_norm": clip}),
        "start": [values.flatten().tolist() for values in start],
        "gradients": [[gradient.flatten().tolist() for gradient in step] for step in given],
        "after": after,
    }


def main():
    cases = []
    for method in METHODS:
        cases += [
            case(method, 0.9, 0.0, None, 1.0),
            case(method, 0.9, 0.1, None, 1.0),
            case(method, 0.5, 0.01, 1.0, 1e4),
            # Smaller than what is clipped: nothing changes.
            case(method, 0.9, 0.01, 1.0, 1e-3),
            case(method, 0.9, 0.0, 0.1, 1e15),
        ]
    golden = {"torch": torch.__version__.split("+")[0], "shapes": SHAPES, "rates": RATES, "cases": cases}
    # Nine digits are enough for every f32.
    golden = json.loads(json.dumps(golden), parse_float=lambda number: float(f"{float(number):.9g}"))
    text = json.dumps(golden, separators=(",", ":"))
    Path(__file__).with_name("optimizers.json").write_text(text + "\n")


main()
