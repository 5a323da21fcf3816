"""Writes sinkhorn.json: balanced assignment by Sinkhorn's iterations in the plain domain, float64.

Run: python sinkhorn.py > sinkhorn.json
Distances follow a closed formula, which src/sinkhorn.rs repeats. The plan is exp(-d / epsilon) of the centred distances,
divided by its row and column sums in turn: possible in float64 only, whose exponents reach that of exp(1 / 0.003).
"""
import json
import sys

import numpy as np

B, K = 24, 6


def distances():
    i, k = np.meshgrid(np.arange(B), np.arange(K), indexing="ij")
    return (1.5 + np.sin(0.9 * i + 1.7 * k) + 0.5 * np.cos(2.3 * i * (k + 1))) ** 2 + 0.3 * (k == 2)


def plan(d, epsilon, iterations):
    middle = (d.max() + d.min()) / 2
    q = np.exp(-(d - middle) / (d.max() - middle + 1e-5) / epsilon)
    q /= q.sum()
    for _ in range(iterations):
        q /= B * q.sum(axis=1, keepdims=True)
        q /= K * q.sum(axis=0, keepdims=True)
    assert np.isfinite(q).all()
    return q


def main():
    d, cases = distances(), []
    for epsilon, iterations in [(0.5, 3), (0.05, 50), (0.003, 50)]:
        q = plan(d, epsilon, iterations)
        cases.append({"epsilon": epsilon, "iterations": iterations, "plan": q.ravel().tolist()})
    json.dump({"about": "Sinkhorn's iterations in the plain domain, float64", "python": sys.version.split()[0],
               "numpy": np.__version__, "b": B, "k": K, "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main()
