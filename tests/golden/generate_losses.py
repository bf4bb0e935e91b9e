"""Writes losses.json: values of the losses and their gradients by the logits, as PyTorch computes them in f64.

Run as `python generate_losses.py` with torch 2.15.0. The losses are written down here as their papers or their published
code have them, and not as the plugins have.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
COUNTS = torch.tensor([500, 120, 40, 12, 3])
CLASSES, BATCH = len(COUNTS), 6


def weighted_mean(terms, targets, weights):
    weights = weights[targets]
    return (terms * weights).sum() / weights.sum()


def cross_entropy(logits, targets, weights, label_smoothing=0.0):
    return F.cross_entropy(logits, targets, weight=weights, label_smoothing=label_smoothing)


def focal(logits, targets, weights, gamma=2.0, compat=False):
    if compat:
        # losses.py of Cao et al. 2019.
        entropy = F.cross_entropy(logits, targets, reduction="none", weight=weights)
        return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean()
    entropy = F.cross_entropy(logits, targets, reduction="none")
    # 1 − p is never 0 here, which has no derivative for gamma < 1.
    rest = torch.where(F.one_hot(targets, CLASSES) == 1, 0.0, F.softmax(logits, 1)).sum(1).clamp_min(1e-30)
    return weighted_mean(rest**gamma * entropy, targets, weights)


def asl(logits, targets, weights, gamma_positive=0.0, gamma_negative=4.0, label_smoothing=0.1):
    # ASLSingleLabel of the published code, without its mean.
    log_preds = F.log_softmax(logits, 1)
    hot = F.one_hot(targets, CLASSES).to(logits.dtype)
    anti = 1 - hot
    xs_pos = torch.exp(log_preds) * hot
    xs_neg = (1 - torch.exp(log_preds)) * anti
    asymmetric = torch.pow(1 - xs_pos - xs_neg, gamma_positive * hot + gamma_negative * anti)
    smooth = hot * (1 - label_smoothing) + label_smoothing / CLASSES
    return weighted_mean(-(smooth * log_preds * asymmetric).sum(1), targets, weights)


def ldam(logits, targets, weights, max_margin=0.5, scale=30.0):
    margins = 1.0 / torch.sqrt(torch.sqrt(COUNTS.to(logits.dtype)))
    margins = margins * (max_margin / margins.max())
    output = torch.where(F.one_hot(targets, CLASSES) == 1, logits - margins[targets][:, None], logits)
    return F.cross_entropy(scale * output, targets, weight=weights)


def balanced_softmax(logits, targets, weights):
    return F.cross_entropy(logits + COUNTS.to(logits.dtype).log(), targets, weight=weights)


def logit_adjustment(logits, targets, weights, tau=1.0):
    prior = COUNTS / COUNTS.sum()
    return F.cross_entropy(logits + torch.log(prior**tau + 0.0), targets, weight=weights)


LOSSES = [
    ("cross-entropy", cross_entropy, {}),
    ("cross-entropy", cross_entropy, {"label_smoothing": 0.1}),
    ("focal", focal, {}),
    ("focal", focal, {"gamma": 0.5}),
    ("focal", focal, {"compat": True}),
    ("asl", asl, {}),
    ("asl", asl, {"gamma_positive": 1.0, "gamma_negative": 2.0, "label_smoothing": 0.0}),
    ("ldam", ldam, {}),
    ("ldam", ldam, {"max_margin": 0.3, "scale": 10.0}),
    ("balanced-softmax", balanced_softmax, {}),
    ("logit-adjustment", logit_adjustment, {}),
    ("logit-adjustment", logit_adjustment, {"tau": 1.5}),
]

generator = torch.Generator().manual_seed(6)
ordinary = 3 * torch.randn(BATCH, CLASSES, generator=generator).float().double()
cosines = (2 * torch.rand(BATCH, CLASSES, generator=generator) - 1).float().double()
extreme = 1e4 * (2.0 * torch.randint(0, 2, (BATCH, CLASSES), generator=generator) - 1)
# One sample that is right beyond doubt, one that is wrong beyond doubt, one of which nothing is known.
extreme[0] = torch.tensor([1e4, -1e4, -1e4, -1e4, -1e4])
extreme[1] = torch.tensor([1e4, -1e4, -1e4, -1e4, -1e4])
extreme[2] = 1e4
targets = torch.tensor([0, 1, 2, 3, 4, 0])
equal, unequal = torch.ones(CLASSES), torch.tensor([0.25, 0.5, 1.0, 1.25, 2.0])

cases = []
for name, loss, options in LOSSES:
    usual = cosines if name == "ldam" else ordinary
    for logits, weights in [(usual, equal), (usual, unequal), (extreme, unequal)]:
        logits = logits.clone().requires_grad_()
        value = loss(logits, targets, weights, **options)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(logits.grad).all(), (name, options)
        cases.append({
            "loss": name,
            "options": options,
            "class_weights": weights.tolist(),
            "logits": logits.detach().flatten().tolist(),
            "value": value.item(),
            "gradient": logits.grad.flatten().tolist(),
        })

document = {
    "source": f"torch {torch.__version__.split('+')[0]}, f64",
    "class_counts": COUNTS.tolist(),
    "targets": targets.tolist(),
    "cases": cases,
}
Path(__file__).with_name("losses.json").write_text(json.dumps(document, indent=1) + "\n")
