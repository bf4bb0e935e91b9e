"""Writes strategies.json: synthetic rows by class, as imbalanced-learn counts them.

Run as `python generate.py` with imbalanced-learn 0.14.2.
"""

import json
from pathlib import Path

import imblearn
import numpy as np
from imblearn.utils import check_sampling_strategy

COUNTS = [[50, 20, 7], [5, 9, 9, 2, 2], [4, 4], [1, 100], [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]]
NAMES = ["not-majority", "minority", "not-minority", "all"]


def synthetic(strategy, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    if isinstance(strategy, str):
        strategy = strategy.replace("-", " ")
    else:
        strategy = dict(enumerate(strategy))
    wanted = check_sampling_strategy(strategy, labels, "over-sampling")
    return [int(wanted.get(label, 0)) for label in range(len(counts))]


cases = [
    {"strategy": strategy, "counts": counts, "synthetic": synthetic(strategy, counts)}
    for counts in COUNTS
    for strategy in [*NAMES, [2 * n for n in counts]]
]
golden = {
    "generator": "crates/imbalance/golden/generate.py",
    "imbalanced-learn": imblearn.__version__,
    "cases": cases,
}
lines = json.dumps(golden).replace('{"strategy"', '\n{"strategy"')
Path(__file__).with_name("strategies.json").write_text(lines + "\n")
