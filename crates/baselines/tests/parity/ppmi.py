"""Writes ppmi.json: PPMI matrix, singular values and cosines by numpy, from the definitions.

Run: python3 ppmi.py > ppmi.json
Sequences come from a closed formula: four communities, two pairs that meet nobody else (their
eigenvalues are +p and -p), repeated items, an empty sequence, and two items that nobody bought.
"""

import json
import sys

import numpy as np
import scipy

NUM_ITEMS, WINDOW, SMOOTHING, DIMENSIONS = 42, 5, 0.75, 8

sequences = [[]]
for s in range(60):
    community = s % 4
    length = 2 + (s * s + s // 3) % 9
    walk = [9 * community + (s * s * 7 + t * t * 3 + s * t * 5 + t) % 9 for t in range(length)]
    if s % 10 == 0:
        walk[-1] = (walk[-1] + 9) % 36  # a bridge to the next community
    sequences.append(walk)
sequences += [[36, 37], [37, 36], [38, 39]]

counts = np.zeros((NUM_ITEMS, NUM_ITEMS))
for x in sequences:
    for s in range(len(x)):
        for t in range(len(x)):
            if s != t and abs(s - t) <= WINDOW:
                counts[x[s], x[t]] += 1.0 / abs(s - t)

total = counts.sum()
p_pair = counts / total
p_word = counts.sum(axis=1) / total
p_context = counts.sum(axis=0) ** SMOOTHING / (counts.sum(axis=0) ** SMOOTHING).sum()
with np.errstate(divide="ignore", invalid="ignore"):
    pmi = np.log(p_pair / np.outer(p_word, p_context))
    mean = (pmi + pmi.T) / 2
matrix = np.where(counts > 0, np.maximum(mean, 0), 0)

u, sigma, _ = np.linalg.svd(matrix)
also = scipy.linalg.svdvals(matrix)
assert np.allclose(sigma, also, atol=1e-12)
assert sigma[DIMENSIONS] < 0.95 * sigma[DIMENSIONS - 1], sigma[: DIMENSIONS + 2]
leading = np.argsort(-np.abs(np.linalg.eigvalsh(matrix)))[:DIMENSIONS]
assert (np.linalg.eigvalsh(matrix)[leading] < 0).any(), "a negative eigenvalue must be kept"


def cosines(dimensions):
    rows = u[:, :dimensions] * np.sqrt(sigma[:dimensions])
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    keep = norms > 1e-6 * norms.max()
    rows = np.where(keep, rows / np.where(keep, norms, 1), 0)
    return (rows @ rows.T).round(9).tolist()


entries = [
    [i, j, float(matrix[i, j])]
    for i in range(NUM_ITEMS)
    for j in range(i, NUM_ITEMS)
    if matrix[i, j] > 0
]
json.dump(
    {
        "about": f"ppmi.py, python {sys.version.split()[0]}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}",
        "num_items": NUM_ITEMS,
        "window": WINDOW,
        "context_smoothing": SMOOTHING,
        "dimensions": DIMENSIONS,
        "sequences": sequences,
        "upper_triangle": entries,
        "singular_values": sigma.tolist(),
        "cosines": cosines(DIMENSIONS),
        "cosines_full": cosines(NUM_ITEMS),
    },
    sys.stdout,
)
