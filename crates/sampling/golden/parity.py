"""Writes parity.json: what imbalanced-learn's over-samplers find and make on three data sets.

    pip install imbalanced-learn==0.14.2 scikit-learn==1.7.2 numpy==2.4.6
    python parity.py

The data sets are not in the file: tests/tests/sampler_parity.rs draws the same values with the same generator. All are
multiples of 1/256 below 2^12, which f32 and f64 hold exactly, squares of distances too.
"""

import json
from pathlib import Path

import imblearn
import numpy as np
import sklearn
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, RandomOverSampler

K, M = 5, 10
# Rows that each sampler makes for the comparison of distributions.
DRAWN = 120


def data(name):
    """Points and labels; the tiny one has some rows twice."""
    counts, cols, shift = {
        "tiny": ([24, 18, 8], 3, 3),
        "wide": ([1500, 400, 100], 64, 0.75),
        "imbalanced": ([1100, 60, 12], 8, 2.5),
    }[name]
    state = 2024 + cols

    def bits():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return state >> 54

    labels = np.repeat(np.arange(len(counts)), counts)
    points = np.empty((len(labels), cols))
    for row, label in enumerate(labels):
        for col in range(cols):
            points[row, col] = (bits() + bits() + bits() + bits() - 2046) / 256 + label * shift
    if name == "tiny":
        for row in [3, 7, 27, 33, 45]:
            points[row] = points[row - 2]
    return points, labels


def twins(points):
    """For each row the first that is equal to it."""
    first = {}
    return [first.setdefault(row.tobytes(), at) for at, row in enumerate(points)]


def no_ties(points, rows, candidates, k):
    """Neighbours can only be compared where the last one is nearer than the next."""
    for row in rows:
        squares = ((points[candidates] - points[row]) ** 2).sum(1)
        order = np.argsort(squares, kind="stable")
        last, following = candidates[order[k]], candidates[order[k + 1]]
        tie = squares[order[k]] == squares[order[k + 1]]
        assert not tie or (points[last] == points[following]).all(), f"row {row} leaves its neighbours open"


def sets(rows, found, twin):
    return {int(row): sorted(twin[n] for n in near) for row, near in zip(rows, found)}


def projections(rows):
    return [[round(float(x), 3) for x in rows[:, 0]], [round(float(x), 3) for x in rows.sum(1)]]


def case(name, label):
    points, labels = data(name)
    twin = twins(points)
    rows = np.flatnonzero(labels == label)
    no_ties(points, rows, rows, K)
    for k in [K, M]:
        no_ties(points, rows, np.arange(len(labels)), k)
    strategy = {label: len(rows) + DRAWN}

    def run(sampler):
        made, _ = sampler.fit_resample(points, labels)
        return made[len(points):]

    # A generator, and not its seed: given a seed, some of the samplers draw the same numbers for two purposes.
    random = lambda: np.random.RandomState(1)
    result = {"data": name, "class": int(label)}

    made = run(RandomOverSampler(sampling_strategy=strategy, random_state=random(), shrinkage=0.5))
    result["random"] = {"projections": projections(made)}

    smote = SMOTE(sampling_strategy=strategy, random_state=random(), k_neighbors=K)
    made = run(smote)
    within = rows[smote.nn_k_.kneighbors(points[rows], return_distance=False)[:, 1:]]
    result["smote"] = {"neighbors": sets(rows, within, twin), "projections": projections(made)}

    for kind in ["borderline-1", "borderline-2"]:
        borderline = BorderlineSMOTE(
            sampling_strategy=strategy, random_state=random(), k_neighbors=K, m_neighbors=M, kind=kind
        )
        made = run(borderline)
        danger = borderline.in_danger_indices[label]
        found = borderline.nn_k_.kneighbors(points[danger], return_distance=False)[:, 1:]
        found = rows[found] if kind == "borderline-1" else found
        result[kind] = {"neighbors": sets(danger, found, twin), "projections": projections(made)}

    counts = []
    rint = np.rint
    np.rint = lambda x: counts.append(rint(x)) or counts[-1]
    adasyn = ADASYN(sampling_strategy=strategy, random_state=random(), n_neighbors=K)
    made = run(adasyn)
    np.rint = rint
    found = rows[adasyn.nn_.kneighbors(points[rows], return_distance=False)[:, 1:]]
    result["adasyn"] = {
        "neighbors": sets(rows, found, twin),
        "counts": {int(row): int(count) for row, count in zip(rows, counts[0])},
        "projections": projections(made),
    }

    svm = SVMSMOTE(sampling_strategy=strategy, random_state=random(), k_neighbors=K, m_neighbors=M)
    made = run(svm)
    support = svm.svm_estimator_.support_
    support = support[labels[support] == label]
    noise = svm._in_danger_noise(svm.nn_m_, points[support], label, labels, kind="noise")
    kept = support[~noise]
    in_danger = svm._in_danger_noise(svm.nn_m_, points[kept], label, labels, kind="danger")
    found = rows[svm.nn_k_.kneighbors(points[kept], return_distance=False)[:, 1:]]
    # The generator after the machine has taken its seed from it.
    state = random()
    state.randint(np.iinfo("i").max)
    from_danger = int(state.beta(10, 10) * (DRAWN + 1))
    result["svm-smote"] = {
        # Of equal rows, which is the support vector is left to the order in which the machine looks at them.
        "noise": sorted({twin[row] for row in support[noise]}),
        "danger": sorted({twin[row] for row in kept[in_danger]}),
        "safe": sorted({twin[row] for row in kept[~in_danger]}),
        "neighbors": sets(kept, found, twin),
        "from_danger": projections(made[:from_danger]),
        "from_safe": projections(made[from_danger:]),
    }
    for group, part in [("danger", made[:from_danger]), ("safe", made[from_danger:])]:
        assert result["svm-smote"][group], f"{name}, class {label}: no support vector is in {group}"
        assert len(part)
    return result


golden = {
    "imbalanced-learn": imblearn.__version__,
    "scikit-learn": sklearn.__version__,
    "numpy": np.__version__,
    "k_neighbors": K,
    "m_neighbors": M,
    "drawn": DRAWN,
    "cases": [case("tiny", 1), case("wide", 1), case("wide", 2), case("imbalanced", 1), case("imbalanced", 2)],
}
Path(__file__).with_name("parity.json").write_text(json.dumps(golden) + "\n")
