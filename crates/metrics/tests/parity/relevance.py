"""Metrics of several relevant items a user by ranx, for `tests/relevance.rs`.

pip install ranx==0.3.20; python relevance.py > relevance.json
"""

import json
import math
from importlib.metadata import version

import numba
import numpy
from ranx import Qrels, Run, evaluate

ITEMS, LISTED, USERS, CUTS = 31, 20, 40, [1, 3, 5, 10, 20]


def ranked(user):
    """20 of 31 items; 7 has an inverse modulo 31, so no two share a key."""
    return sorted(range(ITEMS), key=lambda item: (7 * item + 13 * user) % ITEMS)[:LISTED]


def relevant(user):
    """1 to 10 items, some of which are not in the list."""
    count = 1 + user % 10
    return sorted({(5 * user + 3 * j * j + j) % ITEMS for j in range(count)})


names = [f"u{user:02}" for user in range(USERS)]
qrels = Qrels({name: {f"i{i}": 1 for i in relevant(u)} for u, name in enumerate(names)})
run = Run({n: {f"i{i}": float(LISTED - p) for p, i in enumerate(ranked(u))} for u, n in enumerate(names)})
values = {}
for metric in ["hit_rate", "recall", "precision", "ndcg", "map", "mrr"]:
    for k in CUTS:
        found = evaluate(qrels, run, f"{metric}@{k}", return_mean=False)
        values[f"{metric}@{k}"] = [float(value) for value in found]
assert all(math.isfinite(v) for column in values.values() for v in column)
print(json.dumps({
    "versions": {"ranx": version("ranx"), "numpy": numpy.__version__, "numba": numba.__version__},
    "values": values,
}))
