"""Times the example `prepare` beside Python programs that do the same, run after run, and compares what they write.

    python crates/data/benches/prepare.py --file reviews.jsonl --peer preprocess.py \
        --engines pandas,pandas-arrow,polars --program target/release/examples/prepare --rounds 3

The peer is a program with the options --file --engine --out --repeats --warmup that reads `reviewerID`, `asin` and
`unixReviewTime` of each line, drops users and items with fewer than 5 reviews until none is left, numbers users and
items by first appearance, sorts each user's reviews by time (stable), writes for each but the first the up to 10 items
before it, and splits the samples, sorted by time (stable), 8:1:1 into train.csv, valid.csv and test.csv. Seconds are
those of the whole process for both sides, Python's imports too; `inner` is what the peer times itself, without them.
"""

import argparse
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def run(command):
    """Seconds, peak memory in MB and output of one run."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024, output.decode()


def digests(folder):
    return {n: hashlib.sha256((folder / f"{n}.csv").read_bytes()).hexdigest()[:16] for n in ("train", "valid", "test")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--file", required=True)
    p.add_argument("--program", required=True)
    p.add_argument("--peer", required=True)
    p.add_argument("--engines", default="pandas,pandas-arrow,polars")
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as out:
        out = pathlib.Path(out)
        commands = {"rust": [args.program, "--release", "2018", "--reviews", args.file, "--as-others-do"]}
        for engine in args.engines.split(","):
            tail = ["--engine", engine, "--repeats", "1", "--warmup", "0"]
            commands[engine] = [sys.executable, args.peer, "--file", args.file, *tail]
        runs = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                (out / name).mkdir(exist_ok=True)
                seconds, memory, output = run([*command, "--out", str(out / name)])
                inner = seconds if name == "rust" else json.loads(output)["seconds"]
                runs[name].append((seconds, memory, inner))
        expected = digests(out / "rust")
        for name, results in runs.items():
            assert digests(out / name) == expected, f"{name} writes other files"
            seconds, memory, inner = (statistics.median(column) for column in zip(*results))
            line = {"name": name, "seconds": round(seconds, 3), "inner": round(inner, 3), "peak_mb": round(memory, 1)}
            line["all"] = [round(result[0], 3) for result in results]
            print(json.dumps(line), flush=True)
        print(json.dumps({"digests": expected, "file_mb": round(os.path.getsize(args.file) / 1e6, 1)}))


if __name__ == "__main__":
    main()
