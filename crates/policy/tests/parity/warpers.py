"""Writes warpers.json: distributions after transformers' temperature, top-k and top-p.

    python crates/policy/tests/parity/warpers.py
"""

import json
import pathlib

import torch
import transformers
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

SETTINGS = [
    (1.0, None, None),
    (0.3, None, None),
    (2.5, None, None),
    (1.0, 1, None),
    (1.0, 5, None),
    (1.0, 1000, None),
    (1.0, None, 0.05),
    (1.0, None, 0.5),
    (1.0, None, 0.9),
    (1.0, None, 0.999),
    (0.7, 20, 0.8),
    (1.8, 7, 0.3),
]

if __name__ == "__main__":
    generator = torch.Generator().manual_seed(3)
    rows = [
        torch.randn(40, generator=generator) * 3,
        torch.randn(40, generator=generator) * 0.01,
        torch.cat([torch.full((3,), 4.0), torch.randn(30, generator=generator)]),  # equal best
        torch.randn(150, generator=generator),
        torch.tensor([2.0]),
    ]
    rows = [torch.tensor([round(x, 4) for x in row.tolist()]) for row in rows]
    cases = []
    for row, logits in enumerate(rows):
        for temperature, top_k, top_p in SETTINGS:
            if row == 2 and top_p is not None:
                continue  # which of equal logits is cut is nobody's promise
            scores = TemperatureLogitsWarper(temperature)(None, logits[None])
            if top_k is not None:
                scores = TopKLogitsWarper(top_k)(None, scores)
            if top_p is not None:
                scores = TopPLogitsWarper(top_p)(None, scores)
            logp = scores.double().log_softmax(-1)[0].tolist()
            kept = {i: round(x, 6) for i, x in enumerate(logp) if x > float("-inf")}
            settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
            cases.append({"row": row, "settings": settings, "logp": kept})
    out = {
        "made_by": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "rows": [row.tolist() for row in rows],
        "cases": cases,
    }
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(out) + "\n")
    print(target.stat().st_size)
