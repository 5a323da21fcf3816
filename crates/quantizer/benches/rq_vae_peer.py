"""RQ-VAE training in PyTorch and in Rust on the same matrix, side by side in one run on the CPU.

    python crates/quantizer/benches/rq_vae_peer.py --peer rqvae_step.py --input items.npy --steps 400

From the root of the workspace; needs torch and numpy. --peer is a script with a module `RqVae(sizes, codes, layers,
beta, sinkhorn_eps)` whose forward returns (reconstruction, quantisation loss, codes), with `init_books`, `encoder` and
`books`; `common.py` and `rq_kmeans.py` of the same collection lie beside it. Both sides train with AdamW (lr 1e-3, no
decay), clip 1.0, batches drawn by permutation from one tensor, f32, the same widths, codes, steps and threads, and take
turns: --turns runs each. PyTorch runs with and without its fused AdamW; a turn's ratio is that to the faster of both, by
the medians of windows of 20 steps. Evaluations and first codebooks are not timed. Then both sides' codes of all rows are judged by
nearest code: collision rate, codes used, perplexity, mean squared error of the decoded rows; mean over turns, each with
another seed.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

WINDOW = 20


def load(path):
    path = pathlib.Path(path).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("peer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def judge(model, rows):
    residual = model.encoder(rows)
    total, codes = torch.zeros_like(residual), []
    for book in model.books:
        index = torch.cdist(residual, book.weight).argmin(1)
        residual, total = residual - book(index), total + book(index)
        codes.append(index)
    codes = torch.stack(codes, 1)
    shares = [torch.bincount(c, minlength=len(model.books[0].weight)).double() / len(rows) for c in codes.unbind(1)]
    return {"collision_rate": 1 - len(torch.unique(codes, dim=0)) / len(rows),
            "used": [len(c.unique()) for c in codes.unbind(1)],
            "perplexity": [float(torch.exp(-(s[s > 0] * s[s > 0].log()).sum())) for s in shares],
            "reconstruction": float(F.mse_loss(model.decoder(total), rows))}


def python_side(peer, rows, args, seed, fused):
    torch.manual_seed(seed)
    sizes = [rows.shape[1], *args.hidden, args.latent]
    model = peer.RqVae(sizes, args.codes, args.levels, 0.25, args.sinkhorn)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=fused or None)
    model.init_books(rows[:args.batch])
    rates, done, loss_sum, start = [], 0, 0.0, time.perf_counter()
    while done < args.steps:
        order = torch.randperm(len(rows))
        for i in range(0, len(rows) - args.batch + 1, args.batch):
            batch = rows[order[i:i + args.batch]]
            out, quantisation, _ = model(batch)
            loss = F.mse_loss(out, batch) + quantisation
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            loss_sum += loss.item()
            done += 1
            if done % WINDOW == 0:
                rates.append(WINDOW / (time.perf_counter() - start))
                start = time.perf_counter()
            if done == args.steps:
                break
    return rates, judge(model, rows)


def rust_side(binary, args, seed):
    command = [binary, args.input, "--hidden", ",".join(map(str, args.hidden)), "--latent", args.latent, "--codes",
               args.codes, "--levels", args.levels, "--batch", args.batch, "--steps", args.steps, "--sinkhorn",
               args.sinkhorn, "--seed", seed, "--threads", args.threads, "--window", WINDOW]
    out = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    quality = json.loads(out.stdout)
    return quality.pop("steps_per_second"), quality


def built():
    out = subprocess.run(["cargo", "bench", "--no-run", "-p", "sidereal-quantizer", "--features", "torch", "--bench",
                          "rq_vae", "--message-format", "json"], check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    return next(line["executable"] for line in lines
                if line.get("executable") and line["target"]["name"] == "rq_vae")


def summary(qualities):
    mean = lambda name: np.mean([q[name] for q in qualities], axis=0).round(5).tolist()
    return {name: mean(name) for name in ["collision_rate", "used", "perplexity", "reconstruction"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", required=True)
    p.add_argument("--input", required=True)
    p.add_argument("--binary", help="the built bench; built here when absent")
    p.add_argument("--hidden", type=int, nargs="+", default=[512, 256, 128, 64])
    p.add_argument("--latent", type=int, default=32)
    p.add_argument("--codes", type=int, default=256)
    p.add_argument("--levels", type=int, default=3)
    p.add_argument("--batch", type=int, default=2048)
    p.add_argument("--steps", type=int, default=100)
    p.add_argument("--sinkhorn", type=float, default=0.0)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--turns", type=int, default=3)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    peer, binary = load(args.peer), args.binary or built()
    rows = torch.from_numpy(np.load(args.input).astype(np.float32))
    speeds, ratios = {"plain": [], "fused": [], "rust": []}, []
    python, rust = [], []
    for turn in range(args.turns):
        for name in ["plain", "fused"]:
            rates, quality = python_side(peer, rows, args, turn, name == "fused")
            speeds[name].append(statistics.median(rates))
            python.append(quality)
        rate, quality = rust_side(binary, args, turn)
        speeds["rust"].append(rate)
        rust.append(quality)
        ratios.append(rate / max(speeds["plain"][-1], speeds["fused"][-1]))
    speed = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{len(rows)} x {rows.shape[1]}, batch {args.batch}, {args.steps} steps, {args.threads} threads, "
          f"{args.turns} turns; torch {torch.__version__}")
    print(f"steps per second, medians: PyTorch {speed['plain']:.2f}, fused {speed['fused']:.2f}; "
          f"Rust {speed['rust']:.2f}")
    print(f"ratio to the faster, median of turns: {statistics.median(ratios):.2f}; each: "
          + " ".join(f"{ratio:.2f}" for ratio in ratios))
    print("PyTorch", json.dumps(summary(python)))
    print("Rust   ", json.dumps(summary(rust)))


if __name__ == "__main__":
    main()
