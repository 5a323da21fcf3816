"""Item neighbours and EASE by their equations with dense matrices of numpy: scores of a few users. Writes
classics.json beside this file.

Run: python3 crates/baselines/tests/parity/classics.py
"""

import json
import pathlib

import numpy as np

from transition import NUM_ITEMS, sequences

NEIGHBOURS, SHRINKAGE, L2 = 8, 2.0, 5.0
USERS = range(0, 200, 40)


def latest(history, decay):
    """Each item once, with decay^age of its latest place."""
    weights = np.zeros(NUM_ITEMS)
    for age, item in enumerate(reversed(history)):
        if weights[item] == 0:
            weights[item] = decay**age
    return weights


def main():
    users = sequences()
    x = np.zeros((len(users), NUM_ITEMS))
    for row, events in zip(x, users):
        row[events[:-2]] = 1
    gram = x.T @ x

    count = np.diag(gram)
    similar = gram / (np.sqrt(np.outer(count, count)) + SHRINKAGE)
    np.fill_diagonal(similar, 0)
    near = np.zeros_like(similar)
    for j in range(NUM_ITEMS):
        column = similar[:, j]
        least = np.sort(column)[::-1][NEIGHBOURS - 1]
        near[:, j] = np.where(column >= least, column, 0)

    inverse = np.linalg.inv(gram + L2 * np.eye(NUM_ITEMS))
    linear = -inverse / np.diag(inverse)
    np.fill_diagonal(linear, 0)

    out = {"numpy": np.__version__, "scores": []}
    for user in USERS:
        for decay in (1.0, 0.5):
            history = latest(users[user][:-1], decay)
            scores = {name: np.round(history @ matrix, 9).tolist() for name, matrix in (("neighbours", near), ("ease", linear))}
            out["scores"].append({"user": user, "decay": decay, **scores})
    path = pathlib.Path(__file__).with_name("classics.json")
    path.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
