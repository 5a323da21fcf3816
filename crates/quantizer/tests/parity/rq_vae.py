"""Writes rq_vae.json: the first steps of an RQ-VAE in PyTorch, by automatic differentiation.

Run: python rq_vae.py > rq_vae.json
Rows and parameters follow closed formulas, which src/rq_vae/step.rs repeats. Everything is float64, so that PyTorch's
rounding is not ours. Loss, codes and gradients are those of the first step; parameters those after three steps of AdamW
with weight decay and clipping.
"""
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

B, WIDTHS, LEVELS, K = 16, [12, 10, 8, 6], 3, 5
BETA, WEIGHT, LR, DECAY, CLIP, STEPS = 0.25, 0.7, 1e-2, 0.1, 0.2, 3


def wave(shape, phase, scale):
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    return torch.from_numpy((scale * np.sin(0.7 * i + 0.013 * i * i + phase)).astype(np.float32).reshape(shape)).double()


def parameters():
    named, phase = {}, 0.0
    for part, widths in [("encoder", WIDTHS), ("decoder", WIDTHS[::-1])]:
        for layer, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:])):
            phase += 1.0
            named[f"{part}.{layer}.weight"] = wave((fan_out, fan_in), phase, 0.6)
            named[f"{part}.{layer}.bias"] = wave((fan_out,), phase + 0.5, 0.2)
    for level in range(LEVELS):
        named[f"codebook.{level}"] = wave((K, WIDTHS[-1]), 0.3 + level, 0.5 / (level + 1))
    return {name: value.requires_grad_() for name, value in named.items()}


def mlp(named, part, x):
    for layer in range(len(WIDTHS) - 1):
        x = F.linear(x, named[f"{part}.{layer}.weight"], named[f"{part}.{layer}.bias"])
        if layer < len(WIDTHS) - 2:
            x = F.relu(x)
    return x


def forward(named, x):
    z = mlp(named, "encoder", x)
    residual, quantised, loss, codes = z, torch.zeros_like(z), 0.0, []
    for level in range(LEVELS):
        book = named[f"codebook.{level}"]
        distances = (residual.detach()[:, None] - book.detach()[None]).pow(2).sum(-1)
        nearest = distances.sort(1).values
        assert (nearest[:, 1] - nearest[:, 0]).min() > 1e-4, "a tie could break either way"
        code = distances.argmin(1)
        entry = book[code]
        loss = loss + F.mse_loss(entry, residual.detach()) + BETA * F.mse_loss(residual, entry.detach())
        residual, quantised = residual - entry.detach(), quantised + entry.detach()
        codes.append(code)
    straight_through = z + (quantised - z).detach()
    return F.mse_loss(mlp(named, "decoder", straight_through), x) + WEIGHT * loss, codes


def main():
    x, named = wave((B, WIDTHS[0]), 0.1, 1.0), parameters()
    optimiser = torch.optim.AdamW(named.values(), lr=LR, weight_decay=DECAY)
    out, norms = None, []
    for _ in range(STEPS):
        loss, codes = forward(named, x)
        optimiser.zero_grad()
        loss.backward()
        if out is None:
            out = {"loss": loss.item(), "codes": torch.stack(codes, 1).tolist(),
                   "gradients": {name: p.grad.flatten().tolist() for name, p in named.items()}}
        norms.append(torch.nn.utils.clip_grad_norm_(named.values(), CLIP).item())
        optimiser.step()
    assert max(norms) > CLIP, "clipping is not exercised"
    after = {name: p.detach().flatten().tolist() for name, p in named.items()}
    json.dump({"about": "first steps of an RQ-VAE by automatic differentiation, float64",
               "python": sys.version.split()[0], "torch": torch.__version__, "batch": B, "widths": WIDTHS,
               "levels": LEVELS, "codes_per_level": K, "beta": BETA, "quantisation_weight": WEIGHT,
               "learning_rate": LR, "weight_decay": DECAY, "clip_norm": CLIP, "steps": STEPS, "norms": norms, **out,
               "after": after}, sys.stdout)


if __name__ == "__main__":
    main()
