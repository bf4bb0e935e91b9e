"""Writes neighbors.json: exact neighbours as scikit-learn finds them.

    pip install scikit-learn==1.7.2 numpy==2.4.6
    python generate.py

Values are multiples of 1/64, so that JSON, f32 and f64 hold them exactly.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors

K = 7


def search(points):
    """Distances and indices of the K nearest rows of every row, itself left out."""
    return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(points).kneighbors()


rng = np.random.default_rng(7)
distinct = np.round(rng.normal(size=(60, 5)) * 64) / 64
squares = ((distinct[:, None] - distinct[None]) ** 2).sum(-1)
np.fill_diagonal(squares, np.inf)
nearest = np.sort(squares, axis=1)[:, : K + 1]
assert (np.diff(nearest, axis=1) > 1e-9).all(), "a tie leaves the order of neighbours open"

# With duplicates the order within a tie is open, so only the distances are compared.
duplicated = distinct[rng.integers(0, 20, size=60)]

golden = {
    "scikit-learn": sklearn.__version__,
    "numpy": np.__version__,
    "k": K,
    "distinct": {"points": distinct.tolist(), "neighbors": search(distinct)[1].tolist()},
    "duplicated": {
        "points": duplicated.tolist(),
        "distances": np.round(search(duplicated)[0], 5).tolist(),
    },
}
Path(__file__).with_name("neighbors.json").write_text(json.dumps(golden) + "\n")
