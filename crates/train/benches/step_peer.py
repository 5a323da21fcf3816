"""Training steps beside PyTorch: the same checkpoint, batches and element type, one side after the other.

    python crates/train/benches/step_peer.py sft --peers DIR --models DIR [--model nano] [--settings ...]
    python crates/train/benches/step_peer.py rl --peers DIR --models DIR [--model nano] [--rollout hf loop tree]

`--peers` holds sft_step.py, grpo_step.py and common.py, `--models` what its make_models.py wrote. Build first:
`cargo build --release -p sidereal-train --example step_speed`. Both sides report the loss of each step; in
float32 they should agree.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

BINARY = pathlib.Path("target/release/examples/step_speed")
SETTINGS = ["fused", "fused+group-by-length", "fused+group-by-length+compile"]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("step", choices=["sft", "rl"])
    p.add_argument("--peers", type=pathlib.Path, required=True)
    p.add_argument("--models", type=pathlib.Path, required=True)
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--model", nargs="+", default=["nano"])
    p.add_argument("--settings", nargs="+", default=SETTINGS, help="switches of sft_step.py")
    p.add_argument("--rollout", nargs="+", default=["hf"], help="of grpo_step.py")
    p.add_argument("--index", type=pathlib.Path)
    p.add_argument("--batch", type=int, default=16, help="sequences of an SFT step")
    p.add_argument("--micro-batch", type=int, default=4, help="sequences of mixed lengths that ours takes together, by length")
    p.add_argument("--prompts", type=int, default=4, help="prompts of an RL step")
    p.add_argument("--dtype", default="float32", help="float32 or bfloat16 (SFT: over float32 weights)")
    p.add_argument("--device", default="cpu")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--warmup", type=int, default=1)
    args = p.parse_args()
    sys.path.insert(0, str(args.peers))
    import common

    for name in args.model:
        model = args.models / name
        layout = common.load_layout(model)
        sids = common.load_sids(args.index, 3686, 3, layout["codebook"], 0)
        size = layout["codebook"]
        data = {"sids": sids.tolist(), "codebook_sizes": [size] * 3, "ids": [layout["sid_base"] + i for i in range(3 * size)]}
        print(f"{name} {args.dtype} {args.device}")
        (sft if args.step == "sft" else rl)(args, common, model, layout, sids, data)


def sft(args, common, model, layout, sids, data):
    import sft_step

    mine = {}
    for setting in args.settings:
        switches = ["--" + switch for switch in setting.split("+")]
        grouped = "--group-by-length" in switches
        steps = args.warmup + args.repeats
        pool = 50 if grouped else steps
        samples = sft_step.samples(layout, args.batch * pool, 0)  # the batches that sft_step.py makes
        if grouped:
            samples.sort(key=lambda s: -len(s[0]))
        at = np.linspace(0, pool - 1, steps).astype(int)
        batches = [[(ids.tolist(), int(n)) for ids, n in samples[i * args.batch:(i + 1) * args.batch]] for i in at]
        same = "--same-batch" in switches
        if same:
            batches = batches[:1] * steps
        if (grouped, same) not in mine:
            together = args.batch if grouped else args.micro_batch  # where lengths differ, fewer
            mine[grouped, same] = ours(args, model, together, {**data, "lr": 3e-4, "clip_norm": 1.0, "sft": batches})
        real = sum(len(ids) for batch in batches[args.warmup:] for ids, _ in batch)
        found = mine[grouped, same]
        rate = real / sum(found["seconds"])
        extra = switches + (["--amp"] if args.dtype == "bfloat16" else [])
        peer = theirs(args, "sft_step.py", model, ["--batch", args.batch, *extra])
        compare(f"sft_step {' '.join(extra)}", peer, rate, found, ("forward", "backward", "optimiser"), peer["losses"])


def rl(args, common, model, layout, sids, data):
    steps = args.warmup + args.repeats
    prompts = common.make_prompts(layout, sids, args.prompts * steps, 128, 0)
    batches = [prompts[i * args.prompts:(i + 1) * args.prompts] for i in range(steps)]
    tail = common.tail_tokens(layout, "nl-eos")
    found = ours(args, model, args.micro_batch, {**data, "lr": 1e-5, "clip_norm": 0.3, "rl": batches, "tail": tail, "group_size": 16,
                               "kl_coef": 1e-3})
    rate = args.prompts / float(np.median(found["seconds"]))
    for rollout in args.rollout:
        extra = ["--prompts", args.prompts, "--rollout", rollout, "--dtype", args.dtype]
        extra += ["--index", args.index] if args.index else []
        peer = theirs(args, "grpo_step.py", model, extra)
        compare(f"grpo_step {rollout}", peer, rate, found, ("rollout", "scoring", "forward", "backward", "optimiser"),
                peer["loss"])


def ours(args, model, together, data):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(data, file)
        file.flush()
        return run([args.binary, "--model", model, "--input", file.name, "--dtype", args.dtype, "--device", args.device,
                    "--warmup", args.warmup, "--micro-batch", together])


def theirs(args, script, model, extra):
    return run([sys.executable, args.peers / script, "--model", model, "--device", args.device, "--repeats",
                args.repeats, "--warmup", args.warmup, *extra])


def run(command):
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def compare(name, peer, rate, found, phases, losses):
    """One line: rates and their ratio; seconds of each phase and peak memory of both sides; the losses' difference."""
    unit = peer["unit"]
    print(f"  {name}: {peer['throughput']:.2f} {unit}, ours {rate:.2f}: {rate / peer['throughput']:.2f}x")
    median = np.median(np.array(found["phases"]), axis=0)
    print("    seconds, theirs " + ", ".join(f"{k} {v:.3f}" for k, v in peer["phases"].items())
          + "; ours " + ", ".join(f"{k} {v:.3f}" for k, v in zip(phases, median)))
    worst = max(abs(a - b) for a, b in zip(losses, found["losses"]))
    print(f"    fill {peer.get('fill', 1):.2f}; peak MB, theirs {peer['peak_rss_mb']:.0f}, ours "
          f"{found['peak_rss_mb']:.0f}; losses {[round(x, 4) for x in found['losses']][:3]}…, largest difference {worst:.1e}",
          flush=True)


if __name__ == "__main__":
    main()
