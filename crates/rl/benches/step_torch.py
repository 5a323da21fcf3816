"""The bench `step` in vectorised PyTorch on the CPU, beside the Rust one, in one run.

    python crates/rl/benches/step_torch.py        # from the root of the workspace; needs torch

Both sides get Semantic IDs and log-probs, and return the gradient with respect to the new log-probs.
PyTorch runs in float32 and float64 with all its threads and with one; the Rust side is float64, one
thread. Prints the median of each and how many times faster the Rust side is.
"""

import json
import os
import pathlib
import statistics
import subprocess
import time

import torch

GROUPS, ROLLOUTS, TOKENS = 512, 16, 5


def inputs(dtype):
    g = torch.Generator().manual_seed(7)
    shape = (GROUPS, ROLLOUTS, TOKENS)
    targets = torch.randint(0, 2, (GROUPS, 1, TOKENS), generator=g)
    rollouts = torch.randint(0, 2, shape, generator=g)
    uniform = lambda low, high: low + (high - low) * torch.rand(shape, generator=g, dtype=dtype)
    logp = uniform(-4.0, 0.0)
    return targets, rollouts, logp, logp + uniform(-0.3, 0.3), logp + uniform(-0.3, 0.3)


def reward_to_gradient(targets, rollouts, logp, old_logp, ref_logp, kl_coef):
    dtype = logp.dtype
    with torch.no_grad():
        prefix = (rollouts == targets).to(torch.int32).cumprod(-1).sum(-1)
        hits = prefix == TOKENS
        rank = -1.0 / torch.log(torch.arange(2, ROLLOUTS + 2, dtype=dtype))
        easy = torch.where(hits, torch.ones((), dtype=dtype), rank)
        sid_level = 1.0 - torch.pow(torch.tensor(0.5, dtype=dtype), prefix)
        rewards = torch.where(hits.any(-1, keepdim=True), easy, sid_level)
        centred = rewards - rewards.mean(-1, keepdim=True)
        advantages = (centred / (rewards.std(-1, keepdim=True) + 1e-4)).unsqueeze(-1)
    logp = logp.detach().requires_grad_()
    ratio = torch.exp(logp - old_logp)
    gain = torch.min(ratio * advantages, torch.clamp(ratio, 0.8, 1.2) * advantages)
    if kl_coef:
        x = ref_logp - logp
        gain = gain - kl_coef * (torch.exp(x) - x - 1.0)
    gain.mean(-1).mean().backward()
    return logp.grad


def median_us(dtype, kl_coef, repeats=300):
    args = inputs(dtype)
    times = []
    for _ in range(repeats + 30):
        start = time.perf_counter()
        reward_to_gradient(*args, kl_coef)
        times.append(time.perf_counter() - start)
    return statistics.median(times[30:]) * 1e6


def rust_us():
    subprocess.run(
        ["cargo", "bench", "-p", "sidereal-rl", "--bench", "step"],
        check=True, stdout=subprocess.DEVNULL,
    )
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    folder = target / "criterion" / "reward_to_gradient"
    read = lambda name: json.loads(
        (folder / name / f"{GROUPS}x{ROLLOUTS}x{TOKENS}" / "new" / "estimates.json").read_text()
    )["median"]["point_estimate"] / 1e3
    return {"grpo": read("grpo"), "grpo_kl": read("grpo_kl")}


def main():
    rust = rust_us()
    print(f"{GROUPS} groups x {ROLLOUTS} rollouts x {TOKENS} tokens; torch {torch.__version__}")
    threads = torch.get_num_threads()
    for name, kl_coef in [("grpo", 0.0), ("grpo_kl", 0.04)]:
        print(f"{name:8} rust f64 1 thread: {rust[name]:8.0f} us")
        for count in sorted({threads, 1}):
            torch.set_num_threads(count)
            for dtype in [torch.float32, torch.float64]:
                us = median_us(dtype, kl_coef)
                label = f"torch {str(dtype)[6:]} {count} thread(s)"
                print(f"{name:8} {label}: {us:8.0f} us, {us / rust[name]:5.1f} times the Rust time")


if __name__ == "__main__":
    main()
