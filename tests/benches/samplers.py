"""The peers of samplers.rs: one case on the same matrix, as imbalanced-learn or NumPy with scikit-learn do it.

    python samplers.py CASE ROWS COLUMNS CLASS_SIZE...

Prints one line of JSON: the seconds of the call, and the peak of memory over what the process had before the matrix.
"""

import json
import resource
import sys
import time

import imblearn
import numpy as np
import sklearn
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors

K = 10


def splitmix(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def bell(numbers):
    """The sum of the four 16-bit parts: nearly normal, and exact in f32."""
    parts = [(numbers >> np.uint64(16 * part)) & np.uint64(0xFFFF) for part in range(4)]
    return (sum(part.astype(np.float32) for part in parts) - np.float32(131070)) / np.float32(32768)


def matrix(rows, columns, sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points = np.empty((rows, columns), np.float32)
    for start in range(0, rows, 10_000):
        part = slice(start, min(start + 10_000, rows))
        number = np.arange(part.start * columns, part.stop * columns, dtype=np.uint64)
        center = (labels[part].astype(np.uint64) * np.uint64(columns))[:, None] + np.arange(columns, dtype=np.uint64)
        points[part] = bell(splitmix(number)).reshape(-1, columns)
        points[part] += bell(splitmix(center + np.uint64(1 << 60))) * np.float32(0.5)
    return points, labels


def knn(points, labels):
    NearestNeighbors(n_neighbors=K + 1).fit(points).kneighbors(points, return_distance=False)


def smote(points, labels):
    SMOTE(k_neighbors=5, random_state=0).fit_resample(points, labels)


def eos(points, labels):
    """As the code published with the paper does it: neighbours of every sample, then class by class."""
    random = np.random.default_rng(0)
    near = NearestNeighbors(n_neighbors=K + 1).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    counts = np.bincount(labels)
    made, made_labels = [points], [labels]
    for label in range(1, len(counts)):
        wanted = counts.max() - counts[label]
        rows = np.flatnonzero(labels == label)
        is_enemy = labels[near[rows]] != label
        rows, is_enemy = rows[is_enemy.any(1)], is_enemy[is_enemy.any(1)]
        base = random.integers(len(rows), size=wanted)
        # One of the enemies of each base, uniformly.
        column = (is_enemy[base] * random.random((wanted, K))).argmax(1)
        enemy = points[near[rows[base], column]]
        start = points[rows[base]]
        made.append(start + random.random((wanted, 1), dtype=np.float32) * (enemy - start))
        made_labels.append(np.full(wanted, label))
    np.vstack(made), np.hstack(made_labels)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


case, rows, columns, *sizes = sys.argv[1:]
rows, columns, sizes = int(rows), int(columns), [int(size) for size in sizes]
run = {"knn": knn, "smote": smote, "eos": eos}[case]
# Libraries load, and threads start, at their first use.
run(*matrix(300, 8, [200, 70, 30]))
before = peak()
points, labels = matrix(rows, columns, sizes)
start = time.perf_counter()
run(points, labels)
seconds = time.perf_counter() - start
versions = f"imbalanced-learn {imblearn.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}"
print(json.dumps({"seconds": seconds, "megabytes": peak() - before, "versions": versions}))
