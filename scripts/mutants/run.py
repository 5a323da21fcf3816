"""Runs each mutant on the tests that reach it, fastest first, until one fails.

    python run.py build --copy ../mutated --state state -- --workspace --all-features --lib
    python run.py reach --state state
    python run.py mutants --state state --plan plan.json [--only crates/policy]

`build` may be called again with other targets. `reach` runs every test alone and notes its processor time and the
mutants that it reaches. `mutants` goes on after an interruption where it stopped; its results are lines of
`results.jsonl` in the folder of the state.
"""

import argparse
import json
import pathlib

import programs

# Seconds are processor time. A test that takes FACTOR times its own time, and at least SHORTEST, is stopped.
FACTOR = 10.0
SHORTEST = 2.0


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add_line(path, value):
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def build(args):
    """Adds the built programs to those that are known."""
    path = args.state / "programs.json"
    known = {p["name"]: p for p in json.loads(path.read_text())} if path.exists() else {}
    for program in programs.build(args.copy, args.cargo):
        known[program["name"]] = program
        print(program["name"])
    path.write_text(json.dumps(list(known.values()), indent=1))


def reach(args):
    """Notes the time and the reached mutants of every test that has none yet."""
    path = args.state / "reach.jsonl"
    done = {(line["program"], line["test"]) for line in read_lines(path)}
    servers = programs.Servers()
    reached = servers.scratch / "reached"
    for program in json.loads((args.state / "programs.json").read_text()):
        if not program["name"].startswith(args.programs):
            continue
        for test in programs.tests(program):
            if (program["name"], test) in done or any(word in test for word in args.skip):
                continue
            reached.unlink(missing_ok=True)
            end, seconds = servers.run(program, test, args.limit, {"SIDEREAL_REACHED": str(reached)})
            numbers = sorted({int(line) for line in reached.read_text().split()}) if reached.exists() else []
            if end != "passed":
                print(f"{program['name']} {test} {end} without a mutant and is left out", flush=True)
            line = {"program": program["name"], "test": test, "end": end, "seconds": seconds, "reached": numbers}
            add_line(path, line)
    servers.close()


def judge(servers, mutant, tests, known):
    """The outcome of a mutant: caught, timeout or missed, the test that decided, and the processor time."""
    spent = 0.0
    for test in sorted(tests, key=lambda test: test["seconds"]):
        most = max(SHORTEST, FACTOR * test["seconds"])
        variables = {"SIDEREAL_MUTANT": str(mutant["id"])}
        end, seconds = servers.run(known[test["program"]], test["test"], most, variables)
        spent += seconds
        if end != "passed":
            outcome = "caught" if end == "failed" else "timeout"
            return {"outcome": outcome, "by": f"{test['program']} {test['test']}", "seconds": round(spent, 3)}
    return {"outcome": "missed", "by": None, "seconds": round(spent, 3)}


def mutants(args):
    """Runs the mutants that have no result yet."""
    known = {p["name"]: p for p in json.loads((args.state / "programs.json").read_text())}
    tests_of = {}
    for line in read_lines(args.state / "reach.jsonl"):
        in_time = args.slowest is None or line["seconds"] <= args.slowest
        if line["end"] == "passed" and in_time and line["program"].startswith(args.programs):
            for number in line["reached"]:
                tests_of.setdefault(number, []).append(line)
    path = args.state / args.results
    done = {line["id"] for line in read_lines(path)}
    chosen = [m for m in json.loads(args.plan.read_text()) if m["state"] == "on" and m["id"] not in done]
    if args.ids:
        wanted = {int(number) for number in args.ids.read_text().split()}
        chosen = [m for m in chosen if m["id"] in wanted]
    servers = programs.Servers()
    for prefix in args.only or [""]:
        for mutant in [m for m in chosen if m["file"].startswith(prefix)]:
            tests = tests_of.get(mutant["id"], [])
            line = {"id": mutant["id"], "name": mutant["name"], "tests": len(tests)}
            add_line(path, line | judge(servers, mutant, tests, known))
            chosen.remove(mutant)
    servers.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("build")
    command.add_argument("--copy", type=pathlib.Path, required=True)
    command.add_argument("cargo", nargs="*", help="arguments of `cargo test`, after `--`")
    command.set_defaults(does=build)
    command = commands.add_parser("reach")
    command.add_argument("--skip", action="append", default=[], help="leaves out tests with this in their name")
    command.add_argument("--limit", type=float, default=600.0, help="leaves out tests that take more seconds")
    command.set_defaults(does=reach)
    command = commands.add_parser("mutants")
    command.add_argument("--plan", type=pathlib.Path, required=True)
    command.add_argument("--only", action="append", help="the start of a file's path; several run in this order")
    command.add_argument("--ids", type=pathlib.Path, help="a file of the numbers of the mutants to run")
    command.add_argument("--slowest", type=float, help="leaves out tests that take more seconds")
    command.add_argument("--results", default="results.jsonl", help="name of the file of the results")
    command.set_defaults(does=mutants)
    for command in commands.choices.values():
        command.add_argument("--state", type=pathlib.Path, required=True, help="folder of what is known so far")
        command.add_argument("--programs", default="", help="only test programs whose name starts so")
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    args.does(args)


if __name__ == "__main__":
    main()
