"""Prints the results by file and the mutants that were missed.

    python report.py --plan plan.json --results state/results.jsonl [--retried state/after.jsonl] [--only crates/train]

`--retried` holds the missed mutants that were run again after tests were added.
"""

import argparse
import collections
import json
import pathlib

COLUMNS = ["mutants", "caught", "missed", "timeout", "unviable", "unswitched", "not run", "missed after"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=pathlib.Path, required=True)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--retried", type=pathlib.Path)
    parser.add_argument("--only", default="", help="the start of a file's path")
    args = parser.parse_args()

    def read(path):
        lines = path.read_text().splitlines() if path and path.exists() else []
        return {line["id"]: line for line in map(json.loads, lines)}

    results, retried = read(args.results), read(args.retried)
    mutants = [m for m in json.loads(args.plan.read_text()) if m["file"].startswith(args.only)]
    rows = collections.defaultdict(collections.Counter)
    missed = []
    for mutant in mutants:
        outcome = mutant["state"]
        if outcome == "on":
            outcome = results[mutant["id"]]["outcome"] if mutant["id"] in results else "not run"
        after = retried.get(mutant["id"], {}).get("outcome", outcome)
        for row in (mutant["file"], "all"):
            rows[row].update(["mutants", outcome] + ["missed after"] * (after == "missed"))
        if after == "missed":
            missed.append((mutant, results[mutant["id"]]["tests"]))
    print("| file |", " | ".join(COLUMNS), "|")
    print("|---|" + "---|" * len(COLUMNS))
    for file in sorted(rows, key=lambda row: (row == "all", row)):
        print(f"| `{file}` |", " | ".join(str(rows[file][column]) for column in COLUMNS), "|")
    seconds = sum(line["seconds"] for line in [*results.values(), *retried.values()])
    print(f"\n{seconds / 60:.0f} minutes of processor time\n")
    for mutant, tests in missed:
        print(f"{mutant['id']} {mutant['name']} ({tests} tests reach it)")


if __name__ == "__main__":
    main()
