"""Train a model that tells which machines will fail within a week; runs in Azure ML, not in Airflow.

Reads machines.csv beside it, logs its metrics with MLflow, writes the model to outputs/model.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import joblib
import mlflow
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    options = parser.parse_args()

    with Path(__file__).with_name("machines.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    features = [[float(value) for value in row[:-1]] for row in rows]
    failed = [int(row[-1]) for row in rows]
    train_x, test_x, train_y, test_y = train_test_split(features, failed, test_size=0.25, random_state=7)
    print(f"{len(train_x)} machines to learn from, {len(test_x)} to test on", flush=True)

    model = GradientBoostingClassifier(
        n_estimators=options.trees, learning_rate=options.learning_rate, random_state=7
    ).fit(train_x, train_y)
    accuracy = accuracy_score(test_y, model.predict(test_x))
    auc = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
    mlflow.log_params({"trees": options.trees, "learning_rate": options.learning_rate})
    mlflow.log_metrics({"accuracy": float(accuracy), "auc": float(auc)})
    print(f"accuracy {accuracy:.3f}, AUC {auc:.3f}", flush=True)

    folder = Path("outputs/model")
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")


if __name__ == "__main__":
    main()
