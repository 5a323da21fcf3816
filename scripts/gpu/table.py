"""Prints the Markdown table of a folder that `scripts/gpu.sh` filled.

    python3 scripts/gpu/table.py OUT DEVICE SHAPE SECONDS

A share of peak is operations / (seconds * peak): the operations that the model needs (docs of
`DecoderConfig::training_flops`), whatever computes them, and the rate of the fastest square matrix product of the same
element type in the same run.
"""

import json
import pathlib
import statistics
import sys

out, device, shape, seconds = pathlib.Path(sys.argv[1]), *sys.argv[2:]
NAMES = {"beams": "beam search", "sft": "step of supervised training", "rl": "step of reinforcement (GRPO)"}


def read(name):
    try:
        return json.loads((out / f"{name}.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells):
    print()
    row(*cells)
    print("|" + "---|" * len(cells))


def speed(kind, dtype, work, peak):
    found = read(f"{kind}-{dtype}")
    if found is None:
        return row(NAMES[kind], dtype, "failed", "", "")
    # The first batch warms up.
    flops = work[f"{'beam' if kind == 'beams' else kind}_flops"][1:]
    if kind == "beams":
        took = [found["p50_ms"] / 1e3] * len(flops)
        rate = f"{found['users_per_s']:.1f} users/s ({work['beams']} beams, {work['users']} users together)"
    elif kind == "sft":
        took = found["seconds"]
        rate = f"{sum(work['sft_tokens'][1:]) / sum(took):.0f} tokens/s"
    else:
        took = found["seconds"]
        rate = f"{work['prompts'] / statistics.median(took):.2f} prompts/s ({work['group_size']} rollouts each)"
    share = f"{sum(flops) / sum(took) / 1e9 / peak:.1%}" if peak else "unknown"
    row(NAMES[kind], dtype, rate, f"{1e3 * statistics.median(took):.0f} ms", share)


day, commit, *machine = (out / "machine.txt").read_text("utf-8").splitlines()
print(f"# Check of `{device}`\n")
print(f"{day}, commit {commit}, {machine[0] if machine else 'unknown machine'}; {seconds} s in all.")

parity = read("parity")
head("compared with the CPU", "largest difference, of the largest value")
if parity is None:
    row("parity", "failed")
else:
    for name, value in parity["differences"].items():
        row(name, f"{value:.1e}")
    print(f"\nParity {'holds' if parity['passed'] else 'does NOT hold'} (tolerance {parity['tolerance']:.0e}).")

peak = read("peak") or {}
head("matrix products", "GFLOP/s")
for dtype in ("float32", "bfloat16"):
    row(f"{dtype}, {peak.get('size', '?')} rows and columns", f"{peak.get(f'{dtype}_gflops', float('nan')):.0f}")

work = read("input")
head(f"decoder `{shape}`, {work['parameters'] / 1e6:.1f} M weights", "type", "rate", "median", "share of peak")
for dtype in ("float32", "bfloat16"):
    for kind in NAMES:
        if (out / f"{kind}-{dtype}.out").exists():
            speed(kind, dtype, work, peak.get(f"{dtype}_gflops"))

print("\n## SINGER on all users\n")
took = out / "system.seconds"
if took.exists():
    steps, flops = {}, 0.0
    for line in (out / "run" / "metrics.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        steps[record["stage"]] = max(steps.get(record["stage"], 0), record["step"])
        flops += record["values"].get("flops", 0.0)
    done = ", ".join(f"{count} steps of {stage}" for stage, count in steps.items())
    print(f"`recipe.toml` in this folder: {done}; {took.read_text().strip()} s from files to report, in which the")
    print(f"supervised updates needed {flops:.2e} operations. The first table of the report:\n")
    table = (out / "system.out").read_text("utf-8").split("\n\n")
    print("```text\n" + next((part for part in table if "| system" in part), "no table").strip() + "\n```")
else:
    print("failed")

peers = [name for name in ("peer-beams", "peer-sft", "peer-rl") if (out / f"{name}.out").exists()]
if peers:
    print("\n## Beside PyTorch\n\n```text")
    for name in peers:
        print((out / f"{name}.out").read_text("utf-8").rstrip())
    print("```")
