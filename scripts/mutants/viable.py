"""Writes the mutants into a copy of the sources and drops those that do not compile.

    python viable.py --original . --copy ../mutated --plan plan.json LIST.json...

`--copy` is a worktree of the same commit as `--original`. The plan holds every mutant with its number
and its state: `on`, `unviable` (it does not compile) or `unswitched` (a constant, or a function that
returns `impl Trait`: such a mutant cannot be chosen at run time).
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess

import rewrite

MARK = re.compile(rb"/\*(?:<(\d+)|(\d+)>)\*/")


def regions(text):
    """The marked pieces of a file: (start, end, number)."""
    starts, found = {}, []
    for mark in MARK.finditer(text):
        if mark[1]:
            starts[int(mark[1])] = mark.end()
        else:
            found.append((starts[int(mark[2])], mark.start(), int(mark[2])))
    return found


def errors(copy):
    """The compiler's errors: lists of spans, those that it means first."""
    cargo = shlex.split(os.environ.get("CARGO", "cargo"))
    command = "check --workspace --all-features --lib --keep-going --message-format json -j1".split()
    done = subprocess.run(cargo + command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = []
    for line in done.stdout.splitlines():
        if not line.startswith(b"{"):
            continue
        message = json.loads(line)
        if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
            continue
        spans = list(message["message"]["spans"])
        for child in message["message"]["children"]:
            spans += child["spans"]
        if spans:
            spans.sort(key=lambda span: not span["is_primary"])
            found.append((message["message"]["message"], spans))
    return done.returncode, found


def blamed(copy, spans, cache):
    """The mutant that an error points at: the smallest marked piece around its first span in one."""
    for span in spans:
        path = copy / span["file_name"]
        if path not in cache:
            cache[path] = regions(path.read_bytes()) if path.exists() else []
        around = [
            (end - start, number)
            for start, end, number in cache[path]
            if start <= span["byte_start"] and span["byte_end"] <= end
        ]
        if around:
            return min(around)[1]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", type=pathlib.Path, required=True)
    parser.add_argument("--copy", type=pathlib.Path, required=True)
    parser.add_argument("--plan", type=pathlib.Path, required=True)
    parser.add_argument("lists", nargs="*")
    args = parser.parse_args()
    if args.plan.exists():
        mutants = json.loads(args.plan.read_text())
    else:
        mutants = rewrite.number(args.lists)
        for mutant in mutants:
            mutant["state"] = "on"
    by_id = {mutant["id"]: mutant for mutant in mutants}
    files = {mutant["file"] for mutant in mutants}
    while True:
        on = [mutant for mutant in mutants if mutant["state"] == "on"]
        unplaced, not_rust = rewrite.rewrite(args.copy, args.original, on, files)
        for numbers, state in ((unplaced, "unswitched"), (not_rust, "unviable")):
            for number in numbers:
                by_id[number]["state"] = state
        code, found = errors(args.copy)
        cache, dropped = {}, set()
        for message, spans in found:
            number = blamed(args.copy, spans, cache)
            if number is None:
                span = spans[0]
                print(f"no mutant: {span['file_name']}:{span['line_start']}: {message}")
            else:
                iterator = "::std::iter::" in by_id[number]["replacement"]
                by_id[number]["state"] = "unswitched" if iterator else "unviable"
                by_id[number]["error"] = message
                dropped.add(number)
        args.plan.write_text(json.dumps(mutants, indent=1))
        print(f"{len(on)} mutants, {len(found)} errors, {len(dropped)} dropped", flush=True)
        if code == 0:
            return
        if not dropped:
            raise SystemExit("the compiler's errors point at no mutant: see above")


if __name__ == "__main__":
    main()
