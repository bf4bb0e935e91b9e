"""Writes metrics.json: scores as scikit-learn and imbalanced-learn compute them.

Run as `python generate.py` with scikit-learn 1.7.2 and imbalanced-learn 0.14.2. The expected calibration
error, which neither has, is computed here.
"""

import json
import warnings
from pathlib import Path

import imblearn
import numpy as np
import sklearn
from imblearn.metrics import geometric_mean_score
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

# imbalanced-learn has no zero_division: where a class is absent it warns and takes 0, which is what is wanted.
warnings.filterwarnings("ignore", category=sklearn.exceptions.UndefinedMetricWarning)


def expected_calibration_error(truth, probabilities, bins=15):
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def case(name, truth, probabilities, training_counts):
    truth = np.asarray(truth)
    # What is written is rounded, and read back as f32: what is scored must be the same.
    written = np.round(probabilities, 3)
    probabilities = written.astype(np.float32).astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    labels = np.arange(probabilities.shape[1])
    macro = {"labels": labels, "average": "macro", "zero_division": 0}
    recall = recall_score(truth, predicted, labels=labels, average=None, zero_division=0)
    counts = np.asarray(training_counts)
    scores = {
        "accuracy": accuracy_score(truth, predicted),
        "bac": recall_score(truth, predicted, **macro),
        "gmean": geometric_mean_score(truth, predicted, labels=labels, average="multiclass"),
        "gm_macro": geometric_mean_score(truth, predicted, labels=labels, average="macro"),
        "fm": f1_score(truth, predicted, **macro),
        "macro_precision": precision_score(truth, predicted, **macro),
        "worst_recall": recall.min(),
        "recall": recall.tolist(),
    }
    groups = {"many": counts > 100, "medium": (counts >= 20) & (counts <= 100), "few": counts < 20}
    for group, members in groups.items():
        if members.any():
            scores[f"{group}_recall"] = recall[members].mean()
    scores["ece"] = expected_calibration_error(truth, probabilities)
    scores["confusion"] = confusion_matrix(truth, predicted, labels=labels).tolist()
    return {
        "name": name,
        "truth": truth.tolist(),
        "training_counts": counts.tolist(),
        "scores": scores,
        "probabilities": written.tolist(),
    }


def softmax_around(rng, favoured, classes, strength):
    """Probabilities of random logits, `strength` higher for the favoured class of each row."""
    logits = rng.normal(size=(len(favoured), classes)) * 1.5
    logits[np.arange(len(favoured)), favoured] += strength
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


rng = np.random.default_rng(0)
balanced = np.repeat(np.arange(3), 20)
sizes = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
long_tail = np.repeat(np.arange(10), [40, 25, 18, 12, 8, 6, 4, 3, 2, 2])
never = softmax_around(rng, balanced, 4, 2.0)
never[:, 1] = 0.0
absent = np.repeat([0, 1, 3], [12, 6, 9])

cases = [
    case("balanced, 3 classes", balanced, softmax_around(rng, balanced, 3, 2.0), [100, 20, 19]),
    case("imbalanced, 10 classes", long_tail, softmax_around(rng, long_tail, 10, 3.0), sizes),
    case("class 1 is never predicted", balanced, never[:, :3], [101, 50, 20]),
    case("class 2 is absent from the truth", absent, softmax_around(rng, absent, 4, 1.0), [500, 60, 30, 5]),
    case("perfect", balanced, np.eye(3)[balanced], [10, 10, 10]),
    case("all wrong", balanced, np.eye(3)[(balanced + 1) % 3], [300, 200, 101]),
    case("ties go to the first class", [0, 1, 2, 0], [[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [1 / 3] * 3, [0.2, 0.6, 0.2]], [5, 5, 5]),
]
golden = {
    "generator": "crates/metrics/golden/generate.py",
    "scikit-learn": sklearn.__version__,
    "imbalanced-learn": imblearn.__version__,
    "numpy": np.__version__,
    "cases": cases,
}
lines = json.dumps(golden).replace('{"name"', '\n{"name"').replace('"scores"', '\n "scores"')
lines = lines.replace('"probabilities"', '\n "probabilities"')
Path(__file__).with_name("metrics.json").write_text(lines + "\n")
