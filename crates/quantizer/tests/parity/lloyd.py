"""Writes lloyd.json: residual k-means by scikit-learn's Lloyd from given centroids.

Run: python lloyd.py > lloyd.json
Rows and first centroids follow closed formulas, which parity.rs repeats; the first centroids of a level are the
residuals of chosen rows. scikit-learn gets float64 copies of the float32 inputs, so that its rounding is not ours.
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.cluster import KMeans

N, D, LEVELS, K, ITERATIONS = 300, 24, 2, 12, 6


def rows():
    i, d = np.meshgrid(np.arange(N), np.arange(D), indexing="ij")
    group = (i * 7) % 11
    value = np.sin(1.3 * group + 0.7 * d) + 0.4 * np.sin(0.61 * i * (d + 1) + 0.2 * d)
    return value.astype(np.float32)


def main():
    x = rows()
    residual = x.astype(np.float64)
    levels = []
    for level in range(LEVELS):
        first = residual[[(17 * k + 5 * level) % N for k in range(K)]].astype(np.float32).astype(np.float64)
        steps = []
        for iterations in range(1, ITERATIONS + 1):
            km = KMeans(K, init=first, n_init=1, max_iter=iterations, tol=0.0, algorithm="lloyd").fit(residual)
            steps.append({"centroids": km.cluster_centers_.ravel().tolist(), "inertia": float(km.inertia_),
                          "labels": km.labels_.tolist()})
        levels.append({"first": first.ravel().tolist(), "steps": [
            {"inertia": s["inertia"], "centroid_sum": float(np.abs(s["centroids"]).sum())} for s in steps[:-1]],
            "centroids": steps[-1]["centroids"], "labels": steps[-1]["labels"], "inertia": steps[-1]["inertia"]})
        residual = residual - np.asarray(steps[-1]["centroids"]).reshape(K, D)[steps[-1]["labels"]]
    tolerance = KMeans(K, init=np.asarray(levels[0]["first"]).reshape(K, D), n_init=1, max_iter=300, tol=3e-3,
                       algorithm="lloyd").fit(x.astype(np.float64))
    json.dump({"about": "scikit-learn Lloyd level by level, from the first centroids given",
               "python": sys.version.split()[0], "numpy": np.__version__, "scikit-learn": sklearn.__version__,
               "n": N, "d": D, "k": K, "iterations": ITERATIONS, "levels": levels,
               "stopped": {"tolerance": 3e-3, "iterations": int(tolerance.n_iter_),
                           "inertia": float(tolerance.inertia_)}}, sys.stdout)


if __name__ == "__main__":
    main()
