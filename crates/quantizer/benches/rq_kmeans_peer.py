"""Residual k-means beside faiss, scikit-learn and k-means-constrained: same matrix, same run.

    cargo build --release -p sidereal-quantizer --example quantize
    python crates/quantizer/benches/rq_kmeans_peer.py items.npy [--balanced] [--peers faiss,sklearn]

Every side quantises the float32 matrix into three levels of 256 codes with all cores, each in a process
of its own, one after the other; reading the file and importing are not timed. Unbalanced: at most 25
iterations, tolerance 0, one start; faiss always does 25, over all rows, from random rows. Balanced: sizes
N // K and N // K + 1 here, N // K - 1 to N // K + 1 there, the best of three starts there, one here.
Prints seconds, the mean squared error after each level, the most memory the process held, and how many
times faster the Rust side is. Needs numpy and the peers named.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

LEVELS, CODES, ITERATIONS = 3, 256, 25


def rust(args):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    command = [str(target / "release" / "examples" / "quantize"), args.matrix, "--json",
               "--sizes", ",".join([str(CODES)] * LEVELS), "--seed", str(args.seed)]
    if args.balanced:
        command += ["--balance", "per-level", "--max-iterations", "100", "--tolerance", "1e-2"]
    else:
        command += ["--max-iterations", str(ITERATIONS), "--tolerance", "0"]
    if args.max_rows_per_code:
        command += ["--max-rows-per-code", str(args.max_rows_per_code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with {status}")
    found = json.loads(out)
    errors = [level["squared_error"] for level in found["report"]["levels"]]
    return {"seconds": found["seconds"], "errors": errors, "peak_mb": usage.ru_maxrss / 1024}


def faiss_level(rows, args):
    import faiss
    kmeans = faiss.Kmeans(rows.shape[1], CODES, niter=ITERATIONS, seed=args.seed,
                          max_points_per_centroid=-(-len(rows) // CODES), min_points_per_centroid=1)
    kmeans.train(rows)
    return kmeans.centroids, kmeans.index.search(rows, 1)[1][:, 0]


def sklearn_level(rows, args):
    from sklearn.cluster import KMeans
    kmeans = KMeans(CODES, n_init=1, max_iter=ITERATIONS, tol=0.0, random_state=args.seed).fit(rows)
    return kmeans.cluster_centers_, kmeans.labels_


def constrained_level(rows, args):
    import joblib
    from k_means_constrained import KMeansConstrained
    floor = len(rows) // CODES
    kmeans = KMeansConstrained(CODES, size_min=floor - 1, size_max=floor + 1, n_init=3, max_iter=100,
                               tol=1e-7, random_state=args.seed, n_jobs=-1)
    with joblib.parallel_config(max_nbytes=None):  # its workers write into what they are given
        kmeans.fit(rows)
    return kmeans.cluster_centers_, kmeans.labels_


PEERS = {"faiss": faiss_level, "sklearn": sklearn_level, "constrained": constrained_level}


def one_peer(name, args):
    import resource

    import numpy as np
    if name == "faiss":
        import faiss
        faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    rows = np.load(args.matrix).astype(np.float32, copy=False)
    seconds, errors = 0.0, []
    for _ in range(LEVELS):
        start = time.perf_counter()
        centroids, codes = PEERS[name](rows, args)
        rows = rows - centroids.astype(np.float32)[codes]
        seconds += time.perf_counter() - start
        errors.append(float(np.einsum("nd,nd->n", rows, rows, dtype=np.float64).mean()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "errors": errors, "peak_mb": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("matrix", help=".npy file of float32 rows")
    parser.add_argument("--peers", default=None, help="names separated by commas; none: `-`")
    parser.add_argument("--balanced", action="store_true")
    parser.add_argument("--max-rows-per-code", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return one_peer(args.one, args)
    peers = args.peers or ("constrained" if args.balanced else "faiss,sklearn")
    ours = rust(args)
    results = {"sidereal": ours}
    for name in [name for name in peers.split(",") if name in PEERS]:
        out = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", name],
                             check=True, stdout=subprocess.PIPE).stdout
        results[name] = json.loads(out.splitlines()[-1])
    for name, r in results.items():
        errors = " ".join(f"{error:.4f}" for error in r["errors"])
        print(f"{name:12} {r['seconds']:9.3f} s  {r['seconds'] / ours['seconds']:6.1f} x  "
              f"error {errors}  peak {r['peak_mb']:7.0f} MB")


if __name__ == "__main__":
    main()
