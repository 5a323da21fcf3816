"""Constrained beam search beside PyTorch: the same checkpoint, prompts, catalogue and element type.

    python crates/policy/benches/beam_peer.py --peers DIR --models DIR [--index I.index.json]

`--peers` holds beam_search.py and common.py, `--models` what its make_models.py wrote. Build first:
`cargo build --release -p sidereal-policy --example beam_speed`. For each setting every engine runs
once, one after the other, and the ratio of users per second is printed; in float32 with the full
softmax the items and scores are compared too.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

BINARY = pathlib.Path("target/release/examples/beam_speed")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--peers", type=pathlib.Path, required=True)
    p.add_argument("--models", type=pathlib.Path, required=True)
    p.add_argument("--index", type=pathlib.Path)
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--model", nargs="+", default=["nano"])
    p.add_argument("--engine", nargs="+", default=["hf", "loop", "tree", "tree-sid"])
    p.add_argument("--beams", nargs="+", type=int, default=[50])
    p.add_argument("--batch", nargs="+", type=int, default=[8])
    p.add_argument("--dtype", default="float32")
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
        for beams in args.beams:
            for batch in args.batch:
                one(args, common, model, layout, sids, beams, batch)


def one(args, common, model, layout, sids, beams, batch):
    count = batch * (args.repeats + args.warmup)
    size, levels = layout["codebook"], sids.shape[1]
    prompts = common.make_prompts(layout, sids, count, 128, 0, True)
    ids = [layout["sid_base"] + i for i in range(size * levels)]
    data = {"prompts": prompts, "sids": sids.tolist(), "codebook_sizes": [size] * levels, "ids": ids}
    print(f"{model.name} {args.dtype} {args.device}, {beams} beams x {batch} users")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "input.json").write_text(json.dumps(data))
        ours = {scoring: run_ours(args, model, folder / "input.json", beams, batch, scoring)
                for scoring in ("full", "renormalised")}
        for engine in args.engine:
            command = [sys.executable, args.peers / "beam_search.py", "--model", model, "--engine", engine,
                       "--beams", beams, "--batch", batch, "--dtype", args.dtype, "--device", args.device,
                       "--repeats", args.repeats, "--warmup", args.warmup, "--save", folder / "saved.json"]
            command += ["--index", args.index] if args.index else []
            out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
            theirs = json.loads(out.strip().splitlines()[-1])["throughput"]
            mine = ours["renormalised" if engine == "tree-sid" else "full"]
            line = f"  {engine:9} {theirs:9.2f} users/s, ours {mine['users_per_s']:9.2f}: {mine['users_per_s'] / theirs:6.2f}x"
            if args.dtype == "float32":
                line += "; " + compare(mine, json.loads((folder / "saved.json").read_text()))
            print(line, flush=True)


def run_ours(args, model, path, beams, batch, scoring):
    command = [args.binary, "--model", model, "--input", path, "--beams", beams, "--batch", batch,
               "--scoring", scoring, "--dtype", args.dtype, "--device", args.device, "--warmup", args.warmup]
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def compare(mine, saved):
    """Shares of beams that agree, and the largest difference of the scores of those."""
    same, total, worst = 0, 0, 0.0
    for ours, scores, theirs, their_scores in zip(mine["beams"], mine["scores"], saved["beams"], saved["scores"]):
        wanted = {tuple(beam[:len(ours[0])]): score for beam, score in zip(theirs, their_scores)}
        for beam, score in zip(ours, scores):
            total += 1
            if tuple(beam) in wanted:
                same += 1
                worst = max(worst, abs(score - wanted[tuple(beam)]))
    return f"same items {same}/{total}, largest score difference {worst:.1e}"


if __name__ == "__main__":
    main()
