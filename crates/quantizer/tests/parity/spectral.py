"""Labels of spectral clustering by scikit-learn, in exact arithmetic of numpy.

Run: python spectral.py > spectral.json   (numpy, scipy, scikit-learn)

The graph of n items has the edges of sequences (i, i + step) from a closed formula, which the test
repeats. The embedding is that of sklearn.manifold.spectral_embedding with drop_first=False, with the
eigenvectors of numpy.linalg.eigh in place of an iterative solver; the labels are those of
sklearn.cluster._spectral.cluster_qr. Small cases must agree with SpectralClustering itself.
"""

import json

import numpy
import scipy
import sklearn
from sklearn.cluster import SpectralClustering
from sklearn.cluster._spectral import cluster_qr


def sequences(items, groups):
    """Pairs within a group, by residue, and every seventh pair across groups."""
    pairs = []
    for i in range(items * 6):
        first = (i * 7919 + 13) % items
        if i % 7 == 0:
            second = (i * 104729 + 5) % items
        else:
            second = (first + groups * (1 + (i * 31) % 5)) % items
            second = second - second % groups + first % groups
        if second < items and first != second:
            pairs.append((first, second))
    return pairs


def adjacency(items, pairs):
    matrix = numpy.zeros((items, items))
    for first, second in pairs:
        matrix[first, second] += 1
        matrix[second, first] += 1
    return matrix


def labels(matrix, clusters):
    degrees = matrix.sum(axis=1)
    assert (degrees > 0).all()
    root = numpy.sqrt(degrees)
    values, vectors = numpy.linalg.eigh(matrix / root[:, None] / root[None, :])
    gap = values[-clusters] - values[-clusters - 1]
    assert gap > 1e-3, gap
    places = vectors[:, ::-1][:, :clusters] / root[:, None]
    return cluster_qr(places).tolist()


cases = []
for items, groups, clusters in [(60, 4, 4), (96, 3, 3), (180, 5, 5), (240, 6, 4)]:
    matrix = adjacency(items, sequences(items, groups))
    found = labels(matrix, clusters)
    theirs = SpectralClustering(
        n_clusters=clusters, assign_labels="cluster_qr", affinity="precomputed", random_state=0
    ).fit(matrix).labels_
    pairs = set(zip(found, theirs.tolist()))
    agrees = len(pairs) == len(set(found)) == len(set(theirs.tolist()))
    cases.append({"items": items, "groups": groups, "clusters": clusters, "labels": found, "sklearn": agrees})
versions = {"numpy": numpy.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__}
print(json.dumps({"versions": versions, "cases": cases}))
