"""Writes item_vectors.json: vectors of damped transitions and principal components by numpy.

Run: python3 item_vectors.py > item_vectors.json
Sequences and embeddings come from closed formulas: communities that share bridges, repeated items, and
two items that nobody bought; embeddings of rank 5 in 7 columns.
"""

import json
import sys

import numpy as np

NUM_ITEMS, WINDOW, DAMPING, DIMENSIONS = 30, 4, 0.5, 9
ROWS, WIDTH, RANK, KEPT = 40, 7, 5, 4

sequences = [[]]
for s in range(50):
    community = s % 4
    length = 2 + (s * s + s // 3) % 8
    walk = [7 * community + (s * s * 5 + t * t * 3 + s * t * 4 + t) % 7 for t in range(length)]
    if s % 9 == 0:
        walk[-1] = (walk[-1] + 7) % 28
    sequences.append(walk)

# The prototype's way: forward and backward pairs gap by gap, no diagonal, then damped.
counts = np.zeros((NUM_ITEMS, NUM_ITEMS))
popularity = np.zeros(NUM_ITEMS)
for x in sequences:
    for item in x:
        popularity[item] += 1
    for gap in range(1, WINDOW + 1):
        for a, b in zip(x[:-gap], x[gap:]):
            counts[a, b] += 1 / gap
            counts[b, a] += 1 / gap
np.fill_diagonal(counts, 0)
damp = (popularity + 1) ** -DAMPING
matrix = damp[:, None] * counts * damp[None]
u, sigma, _ = np.linalg.svd(matrix)
assert sigma[DIMENSIONS] < 0.97 * sigma[DIMENSIONS - 1], sigma
rows = u[:, :DIMENSIONS] * np.sqrt(sigma[:DIMENSIONS])
norms = np.linalg.norm(rows, axis=1, keepdims=True)
keep = norms > 1e-6 * norms.max()
rows = np.where(keep, rows / np.where(keep, norms, 1), 0)

i, j = np.arange(ROWS)[:, None], np.arange(RANK)[None]
factors = np.sin(1.3 * i * (j + 1) + j) * (RANK - j)
mixing = np.cos(0.7 * np.arange(RANK)[:, None] * np.arange(WIDTH)[None] + 1)
embeddings = (factors @ mixing + np.arange(WIDTH)).astype(np.float32)
centred = embeddings.astype(np.float64) - embeddings.astype(np.float64).mean(0)
left, s, _ = np.linalg.svd(centred, full_matrices=False)
projected = left[:, :KEPT] * s[:KEPT]
whitened = left[:, :KEPT] * np.sqrt(ROWS) / np.sqrt(KEPT)

json.dump(
    {
        "about": f"item_vectors.py, python {sys.version.split()[0]}, numpy {np.__version__}",
        "num_items": NUM_ITEMS,
        "window": WINDOW,
        "damping": DAMPING,
        "dimensions": DIMENSIONS,
        "sequences": sequences,
        "singular_values": sigma[:DIMENSIONS].tolist(),
        "cosines": (rows @ rows.T).round(9).tolist(),
        "embeddings": embeddings.tolist(),
        "rank": RANK,
        "kept": KEPT,
        "spread": s.tolist(),
        # Signs of directions mean nothing: products of rows have none.
        "projected_products": (projected @ projected.T).tolist(),
        "whitened_products": (whitened @ whitened.T).tolist(),
        "explained": float((s[:KEPT] ** 2).sum() / (s**2).sum()),
    },
    sys.stdout,
)
