"""Writes smote.json: the neighbours within each class that imbalanced-learn's SMOTE draws its partners from.

    pip install imbalanced-learn==0.14.2 scikit-learn==1.7.2 numpy==2.4.6
    python generate.py

Values are multiples of 1/64, so that JSON, f32 and f64 hold them exactly.
"""

import json
from pathlib import Path

import imblearn
import numpy as np
import sklearn
from imblearn.over_sampling import SMOTE

K = 5

rng = np.random.default_rng(3)
labels = rng.permutation([0] * 30 + [1] * 14 + [2] * 8)
points = np.round(rng.normal(size=(len(labels), 4)) * 64) / 64

neighbors = [None] * len(labels)
for label in np.unique(labels):
    rows = np.flatnonzero(labels == label)
    squares = ((points[rows][:, None] - points[rows][None]) ** 2).sum(-1)
    nearest = np.sort(squares, axis=1)[:, : K + 2]
    assert (np.diff(nearest, axis=1) > 1e-9).all(), "a tie leaves the set of neighbours open"
    smote = SMOTE(k_neighbors=K, sampling_strategy={label: len(rows) + 1}, random_state=0)
    smote.fit_resample(points, labels)
    # As SMOTE does: the first neighbour is the sample itself.
    within = smote.nn_k_.kneighbors(points[rows], return_distance=False)[:, 1:]
    for row, found in zip(rows, within):
        neighbors[row] = sorted(rows[found].tolist())

golden = {
    "imbalanced-learn": imblearn.__version__,
    "scikit-learn": sklearn.__version__,
    "numpy": np.__version__,
    "k_neighbors": K,
    "labels": labels.tolist(),
    "points": points.tolist(),
    "neighbors": neighbors,
}
Path(__file__).with_name("smote.json").write_text(json.dumps(golden) + "\n")
