"""Free text beside transformers: the same checkpoint, prompts and number of tokens, drawn at temperature 1.

    python crates/policy/benches/text_peer.py --peers DIR --models DIR

`--peers` holds common.py, `--models` what its make_models.py wrote. Build first:
`cargo build --release -p sidereal-policy --example text_speed`. Both sides write `--budget` tokens in
every text, one side after the other; transformers then reads what was written and compares its
log-probabilities with those that came with the draws.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

BINARY = pathlib.Path("target/release/examples/text_speed")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--peers", type=pathlib.Path, required=True)
    p.add_argument("--models", type=pathlib.Path, required=True)
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--model", nargs="+", default=["nano"])
    p.add_argument("--rollouts", type=int, default=8)
    p.add_argument("--budget", type=int, default=256)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--length", type=int, default=128, help="tokens of a prompt")
    p.add_argument("--device", default="cpu")
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--warmup", type=int, default=1)
    args = p.parse_args()
    sys.path.insert(0, str(args.peers))
    import common

    for name in args.model:
        one(args, common, args.models / name)


def one(args, common, model):
    import torch
    from transformers import AutoModelForCausalLM

    layout = common.load_layout(model)
    sids = common.load_sids(None, 3686, 3, layout["codebook"], 0)
    turns = args.repeats + args.warmup
    prompts = common.make_prompts(layout, sids, args.batch * turns, args.length, 0, False)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "prompts.json"
        path.write_text(json.dumps(prompts))
        command = [args.binary, "--model", model, "--input", path, "--rollouts", args.rollouts, "--budget",
                   args.budget, "--batch", args.batch, "--device", args.device, "--warmup", args.warmup]
        out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    ours = json.loads(out)

    peer = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).to(args.device).eval()
    torch.manual_seed(0)
    seconds = []
    with torch.inference_mode():
        for turn in range(turns):
            batch = torch.tensor(prompts[turn * args.batch:(turn + 1) * args.batch], device=args.device)
            start = time.perf_counter()
            peer.generate(batch, attention_mask=torch.ones_like(batch), do_sample=True, top_k=0, top_p=1.0,
                          temperature=1.0, num_return_sequences=args.rollouts, max_new_tokens=args.budget,
                          min_new_tokens=args.budget, pad_token_id=0)
            if args.device != "cpu":
                torch.cuda.synchronize()
            if turn >= args.warmup:
                seconds.append(time.perf_counter() - start)
        written = torch.tensor(ours["texts"], device=args.device)
        logp = peer(torch.cat([batch, written], 1)).logits[:, args.length - 1:-1].log_softmax(-1)
        logp = logp.gather(-1, written.unsqueeze(-1)).squeeze(-1)
        worst = (logp - torch.tensor(ours["logp"], device=args.device)).abs().max().item()
    theirs = args.batch * args.rollouts * args.budget / sorted(seconds)[len(seconds) // 2]
    mine = ours["tokens_per_s"]
    print(f"{model.name}, {args.batch} prompts x {args.rollouts} texts of {args.budget} tokens, "
          f"{ours['threads']} and {torch.get_num_threads()} threads: transformers {theirs:.0f} tokens/s, ours {mine:.0f}: "
          f"{mine / theirs:.2f}x; largest difference of a log-probability {worst:.1e}", flush=True)


if __name__ == "__main__":
    main()
