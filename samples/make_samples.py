"""Make the files of this folder: test-set predictions of models trained on scikit-learn's own data sets.

    python samples/make_samples.py [FOLDER]

Needs scikit-learn, which lossctl does not. A second run writes the same bytes; another version of scikit-learn or
another processor may change last digits.
"""

# mypy: disable-error-code="import-untyped, import-not-found"
# (scikit-learn has no stubs, and is not among the development dependencies)

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

Array = NDArray[Any]

SEED = 0  # of every split and every model, never tuned
SIX_DIGITS = "{:.6f}"  # what `np.savetxt(fmt="%.6f")` writes: rows of probabilities then sum to 1 only nearly


def main(folder: Path) -> None:
    """Write every sample file into ``folder``."""
    diabetes(folder)
    cancer(folder)
    digits(folder)


def diabetes(folder: Path) -> None:
    """Regression: a measure of disease progression after one year, by two models."""
    # Unscaled: the scaled version was standardised with the test rows included.
    features, target = load_diabetes(return_X_y=True, scaled=False)
    train, test = split(len(target), 1 / 3)
    models = {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
        "forest": RandomForestRegressor(500, min_samples_leaf=5, max_features=1 / 3, random_state=SEED),
    }
    preds = {name: model.fit(features[train], target[train]).predict(features[test]) for name, model in models.items()}
    # Column 1 is the sex, coded 1 and 2; the data set does not say which is which, so neither do we.
    group = np.where(features[test, 1] == 1, "a", "b")

    write_csv(folder / "diabetes_preds.csv", pred=preds["ridge"])
    write_csv(folder / "diabetes_targets.csv", target=target[test])
    np.save(folder / "diabetes_preds.npy", preds["ridge"])
    np.save(folder / "diabetes_targets.npy", target[test])
    write_csv(folder / "diabetes.csv", id=test, group=group, target=target[test], **preds)


def cancer(folder: Path) -> None:
    """Two classes: whether a breast tumour is malignant (1) or benign (0)."""
    features, benign = load_breast_cancer(return_X_y=True)
    label = 1 - benign  # scikit-learn codes malignant as 0; the event to predict should be 1
    train, test = split(len(label), 1 / 3, stratify=label)
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[train], label[train])
    prob = logistic.predict_proba(features[test])[:, 1]
    logit = logistic.decision_function(features[test])
    # 100,000 iterations: liblinear's default of 1,000 may stop short, and only warns.
    svm = make_pipeline(StandardScaler(), LinearSVC(loss="hinge", random_state=SEED, max_iter=100_000))
    margin = svm.fit(features[train], label[train]).decision_function(features[test])
    diagnosis = np.where(label[test] == 1, "malignant", "benign")

    write_csv(folder / "cancer_probs.csv", prob=prob)
    write_csv(folder / "cancer_logits.csv", logit=logit)
    write_csv(folder / "cancer_margins.csv", margin=margin)
    write_csv(folder / "cancer_targets.csv", target=label[test])
    write_csv(folder / "cancer_signs.csv", sign=2 * label[test] - 1)
    write_csv(folder / "cancer_names.csv", diagnosis=diagnosis)
    np.save(folder / "cancer_probs.npy", prob)
    np.save(folder / "cancer_logits.npy", logit)
    np.save(folder / "cancer_targets.npy", label[test].astype(np.int64))
    write_csv(folder / "cancer.csv", id=test, prob=prob, logit=logit, label=label[test], diagnosis=diagnosis)


def digits(folder: Path) -> None:
    """Ten classes: handwritten digits, by a logistic regression, and a forest's soft answers."""
    pixels, label = load_digits(return_X_y=True)
    features = pixels / 16  # a pixel is 0…16
    train, test = split(len(label), 300, stratify=label)
    # C = 0.3 keeps every probability above 5e-6: none becomes 0, and no loss infinite, at six digits.
    logistic = LogisticRegression(C=0.3, max_iter=1000).fit(features[train], label[train])
    logits = logistic.decision_function(features[test]).astype(np.float32)
    # From the rounded logits, so that losses on logits and on probabilities agree.
    probs = softmax(logits.astype(np.float64), axis=1)
    forest = RandomForestClassifier(500, random_state=SEED).fit(features[train], label[train])

    np.save(folder / "digits_logits.npy", logits)
    np.save(folder / "digits_probs.npy", probs)
    write_csv(folder / "digits_probs.csv", **{f"p{k}": map(SIX_DIGITS.format, probs[:, k]) for k in range(10)})
    np.save(folder / "digits_labels.npy", label[test].astype(np.int64))
    write_csv(folder / "digits_labels.csv", label=label[test])
    np.save(folder / "digits_onehot.npy", np.eye(10, dtype=np.uint8)[label[test]])
    np.save(folder / "digits_soft.npy", forest.predict_proba(features[test]))
    # A kernel that multiplies every row by the first upstream element.
    upstream = np.random.default_rng(SEED).uniform(0.5, 1.5, len(logits)).astype(np.float32)
    gradient = (probs - np.eye(10)[label[test]]).astype(np.float32)
    np.save(folder / "digits_upstream.npy", upstream)
    np.save(folder / "digits_kernel_grad.npy", gradient * upstream[0])


def split(n: int, test_size: float, stratify: Array | None = None) -> Sequence[Array]:
    """Row numbers to train on, and row numbers to test on."""
    rows: Sequence[Array] = train_test_split(np.arange(n), test_size=test_size, random_state=SEED, stratify=stratify)
    return rows


def write_csv(path: Path, **columns: Array | Iterable[str]) -> None:
    """One row a sample under a header; numbers as the shortest text that reads back to the same bits."""
    # tolist() gives Python's own numbers: str() of them is that text, whatever the NumPy version.
    cells = [column.tolist() if isinstance(column, np.ndarray) else list(column) for column in columns.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
