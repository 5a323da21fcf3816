"""Metrics of a million users' lists beside numpy: the same lists, the same values, one side after the other.

    cargo build --release -p sidereal-metrics --example list_speed
    python crates/metrics/benches/list_peer.py --peers DIR [--users 1000000] [--methods numpy numba]

`--peers` holds metrics.py and common.py.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

BINARY = pathlib.Path("target/release/examples/list_speed")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--peers", type=pathlib.Path, required=True)
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--users", type=int, default=1_000_000)
    p.add_argument("--top", type=int, default=20)
    p.add_argument("--items", type=int, default=12101)
    p.add_argument("--methods", nargs="+", default=["numpy"], help="of metrics.py")
    p.add_argument("--repeats", type=int, default=5)
    args = p.parse_args()
    sys.path.insert(0, str(args.peers))
    import metrics

    lists, targets = metrics.data(args.users, args.top, args.items, 0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        lists.tofile(folder / "lists")
        targets.tofile(folder / "targets")
        metrics.np.savez(folder / "both.npz", pred=lists, target=targets)
        size = ["--top", args.top, "--items", args.items, "--repeats", args.repeats]
        for method in args.methods:
            mine = {}
            for threads in (1, 0):
                found = run([args.binary, "--lists", folder / "lists", "--targets", folder / "targets", *size],
                            {"RAYON_NUM_THREADS": str(threads)})
                mine[found["threads"]] = found
            command = [sys.executable, args.peers / "metrics.py", "--method", method, "--input", folder / "both.npz"]
            peer = run([*command, "--items", args.items, "--repeats", args.repeats], {})
            seconds = peer["seconds"]
            print(f"{method}: {seconds:.4f} s")
            for threads, found in mine.items():
                median = statistics.median(found["seconds"])
                off = max(abs(found["metrics"][name] - value) for name, value in peer["metrics"].items())
                print(f"  ours, {threads} thread(s): {median:.4f} s, {seconds / median:.1f}x; values within {off:.1e}")


def run(command, more):
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **more})
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
