"""Writes qwen3_tied/ and qwen3_untied/: tiny random checkpoints and the logits of transformers.

    python crates/policy/tests/parity/qwen3.py            # the fixtures, beside this file
    python crates/policy/tests/parity/qwen3.py --check D  # heavier: does transformers open what
                                                          # `Qwen3::save` wrote into D?

The second form compares with `expected.json` in D: prompts and our logits, as the test
`a_saved_checkpoint_loads_with_equal_logits` leaves them in `target/tmp/saved_tied`.
"""

import argparse
import json
import pathlib
import platform

import torch
import transformers
from transformers import Qwen3Config, Qwen3ForCausalLM

HERE = pathlib.Path(__file__).parent
# One prompt is longer than most so that rotary angles far from zero are compared too.
PROMPTS = [[5], [3, 9, 60, 1, 1, 2], [7, 63, 0, 12], [(7 * i * i + 3 * i) % 64 for i in range(150)]]


@torch.no_grad()
def logits_of_last(model, prompts, count):
    """Logits of the last `count` real tokens of each right-padded row: [rows][<= count][V]."""
    longest = max(map(len, prompts))
    ids = torch.tensor([p + [0] * (longest - len(p)) for p in prompts])
    mask = torch.tensor([[1] * len(p) + [0] * (longest - len(p)) for p in prompts])
    logits = model(input_ids=ids, attention_mask=mask).logits
    rows = [logits[i, max(0, len(p) - count) : len(p)] for i, p in enumerate(prompts)]
    return [[[round(x, 6) for x in step] for step in row.tolist()] for row in rows]


def write(tied):
    torch.manual_seed(11 + tied)
    config = Qwen3Config(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=160,
        rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=tied,
        bos_token_id=None, eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config).float().eval()
    for name, weight in model.named_parameters():
        # Larger than the initial 0.02, and norms away from one, so that every weight matters.
        spread = torch.randn_like(weight) * (0.2 if weight.dim() == 1 else 0.25)
        weight.data.copy_(spread + (1.0 if weight.dim() == 1 else 0.0))
    directory = HERE / ("qwen3_tied" if tied else "qwen3_untied")
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    expected = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}",
        "prompts": PROMPTS,
        "logits_of_last": logits_of_last(model, PROMPTS, 3),
    }
    (directory / "expected.json").write_text(json.dumps(expected) + "\n")


def check(directory):
    model = Qwen3ForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    expected = json.loads((directory / "expected.json").read_text())
    found = logits_of_last(model, expected["prompts"], 3)
    worst = max(
        abs(a - b)
        for ours, theirs in zip(expected["logits_of_last"], found, strict=True)
        for x, y in zip(ours, theirs, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    print(f"{directory}: transformers {transformers.__version__}, largest difference {worst:.2e}")
    assert worst < 1e-4, worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
    else:
        for tied in (True, False):
            write(tied)
