"""Supervised fine-tuning of a pretrained decoder beside PyTorch: the same folder, batches and number of threads.

    cargo build --release -p sidereal-train --example sft_speed
    python crates/train/benches/sft_peer.py --peers DIR --model HF_FOLDER [--train all codes upper] [--bf16]

`--peers` holds sft_step.py and common.py. The folder has `config.json` and `model.safetensors`; without a `sid.json`
the last 768 ids of the vocabulary play the codes. Settings:

    all     every weight
    codes   the rows of the codes alone (PyTorch: the whole embedding, which is what it can do)
    upper   the `--upper` highest layers and the last norm; ours in two epochs over the same batches, so the second one
            starts at kept states

The peer is transformers with labels, AdamW (fused), clipping, and frozen weights that need no gradient. Both sides take
the batches as they come; ours sorts each by length, which changes no gradient, and leaves the padding out.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

BINARY = pathlib.Path("target/release/examples/sft_speed")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peers", type=pathlib.Path, required=True)
    p.add_argument("--model", type=pathlib.Path, required=True)
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--train", nargs="+", default=["all", "codes", "upper"], choices=["all", "codes", "upper"])
    p.add_argument("--upper", type=int, default=6)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--micro-batch", type=int, default=16)
    p.add_argument("--steps", type=int, default=4, help="of which the first is not timed")
    p.add_argument("--cutoff", type=int, default=512)
    p.add_argument("--bf16", action="store_true", help="products in bfloat16 over float32 weights, on both sides")
    p.add_argument("--peer", help="(the peer's own process) one of --train")
    args = p.parse_args()
    sys.path.insert(0, str(args.peers))
    import sft_step

    layout = layout_of(args.model)
    data = sft_step.samples(layout, args.batch * args.steps, 0, cutoff=args.cutoff)
    groups = [data[i * args.batch:(i + 1) * args.batch] for i in range(args.steps)]
    if args.peer:
        return peer(args, groups, layout, sft_step.collate)
    print(shape(groups, args.micro_batch))
    for train in args.train:
        theirs = run([sys.executable, *sys.argv, "--peer", train])
        found = ours(args, train, groups, layout)
        compare(args, train, groups, theirs, found)


def layout_of(model):
    path = model / "sid.json"
    if path.exists():
        return json.loads(path.read_text())
    vocab = json.loads((model / "config.json").read_text())["vocab_size"]
    return {"sid_base": vocab - 768, "codebook": 256, "levels": 3, "text_low": 100, "text_high": vocab - 800, "pad": 0}


def shape(groups, micro):
    """Padding of the batches: of the peer (to a multiple of 8), of ours without packing, and with it."""
    real = sum(len(ids) for group in groups for ids, _ in group)
    peer_cells = cells = 0
    for group in groups:
        peer_cells += -(-max(len(ids) for ids, _ in group) // 8) * 8 * len(group)
        lens = sorted(len(ids) for ids, _ in group)
        for part in (lens[at:at + micro] for at in range(0, len(lens), micro)):
            cells += part[-1] * len(part)
    return (f"{real} tokens in {len(groups)} steps; padding: peer {1 - real / peer_cells:.1%}, ours without packing "
            f"{1 - real / cells:.1%}, with packing 0 % outside attention")


def peer(args, groups, layout, collate):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).train()
    model.config.use_cache = False
    layers = len(model.model.layers)
    for name, weight in model.named_parameters():
        layer = int(name.split(".")[2]) if name.startswith("model.layers.") else None
        weight.requires_grad_({
            "all": True,
            "codes": "embed_tokens" in name or "lm_head" in name,
            "upper": layer >= layers - args.upper if layer is not None else name == "model.norm.weight",
        }[args.peer])
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=3e-4, weight_decay=0.0, fused=True)
    steps = []
    for group in groups:
        batch = collate(group, layout)
        start, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        steps.append({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "loss": loss.item(),
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
    print(json.dumps({"steps": steps, "threads": torch.get_num_threads()}))


def ours(args, train, groups, layout):
    trainable = {"all": "", "codes": "layers = 'frozen'\nembeddings = 'codes'",
                 "upper": f"layers.upper = {args.upper}\nembeddings = 'frozen'"}[train]
    size = layout["codebook"]
    sids = [[item % size, item // size % size, item % size] for item in range(2000)]
    data = {"sids": sids, "codebook_sizes": [size] * 3, "ids": [layout["sid_base"] + at for at in range(3 * size)],
            "lr": 3e-4, "clip_norm": 1.0,
            "sft": [[(ids.tolist(), int(learned)) for ids, learned in group] for group in groups]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(data, file)
        file.flush()
        return run([args.binary, "--model", args.model, "--input", file.name, "--trainable", trainable,
                    "--epochs", 2 if train == "upper" else 1, "--micro-batch", args.micro_batch,
                    *(["--bf16"] if args.bf16 else [])])


def run(command):
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def operations(args, train, groups, first_layer):
    """Floating-point operations that a training needs: two for each weight and token forward, two for the gradient of
    the input above the first trained layer, two for that of the matrix where it is trained; attention likewise."""
    config = json.loads((args.model / "config.json").read_text())
    width, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    kv = config["num_key_value_heads"]
    matrices = width * (2 * heads * head + 2 * kv * head + 3 * config["intermediate_size"])
    lens = [len(ids) for group in groups for ids, _ in group]
    tokens, pairs = sum(lens), sum(n * (n + 1) / 2 for n in lens)
    learned = sum(learned for group in groups for _, learned in group)
    lowest = {"all": 0, "codes": 0, "upper": layers - args.upper}[train]
    trained = {"all": layers, "codes": 0, "upper": args.upper}[train]
    times = 2 * (layers - first_layer) + 2 * (layers - lowest) + 2 * trained
    rows = {"all": config["vocab_size"], "codes": 768, "upper": 0}[train]
    return (times * matrices * tokens + 2 * heads * head * 2 * pairs * (layers - first_layer + 2 * (layers - lowest))
            + learned * width * (4 * config["vocab_size"] + 2 * rows))


def compare(args, train, groups, theirs, found):
    """Rates by the clock and by processor time, which says more where other programs run; each step but the first."""
    peak = found["peak_gflops"]["bf16" if args.bf16 else "f32"]
    layers = json.loads((args.model / "config.json").read_text())["num_hidden_layers"]
    timed = groups[1:]
    tokens = sum(len(ids) for group in timed for ids, _ in group)
    rates = lambda steps: [tokens / sum(step[clock] for step in steps) for clock in ("seconds", "cpu")]
    wall, cpu = rates(theirs["steps"][1:])
    worst = max(abs(a["loss"] - b["loss"]) for a, b in zip(theirs["steps"], found["steps"]))
    print(f"{train}: PyTorch {wall:.0f} real tokens/s by the clock, {cpu:.0f} a second of processor time, "
          f"{theirs['steps'][-1]['peak_mb']:.0f} MB; threads {theirs['threads']}, {found['threads']}; largest difference "
          f"of losses {worst:.1e}; products of 2048 x 2048 reach {peak:.0f} "
          f"GFLOP/s by processor time")
    for epoch in range(len(found["steps"]) // len(groups)):
        steps = found["steps"][epoch * len(groups):(epoch + 1) * len(groups)][1:]
        first = layers - args.upper if train == "upper" and epoch > 0 else 0
        done = operations(args, train, timed, first) / 1e9
        seconds, busy = (sum(step[clock] for step in steps) for clock in ("seconds", "cpu"))
        print(f"  ours, epoch {epoch}: {tokens / seconds:.0f} ({tokens / seconds / wall:.2f}x), {tokens / busy:.0f} "
              f"({tokens / busy / cpu:.2f}x), {steps[-1]['peak_mb']:.0f} MB, {done / seconds / peak:.0%} of the peak by "
              f"the clock, {done / busy * found['threads'] / peak:.0%} by processor time", flush=True)


if __name__ == "__main__":
    main()
