"""Writes tiny random checkpoints of every architecture and the logits of transformers.

    python crates/policy/tests/parity/decoders.py            # the fixtures, beside this file
    python crates/policy/tests/parity/decoders.py --check D  # does transformers open what
                                                             # `Decoder::save` wrote into D?

The second form compares with `expected.json` in D: prompts and our logits, as the test
`a_saved_checkpoint_loads_with_equal_logits` leaves them in `target/tmp/saved_*`.
"""

import argparse
import json
import pathlib
import platform

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

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


def shape(tied):
    return dict(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=160,
        rms_norm_eps=1e-6, tie_word_embeddings=tied, bos_token_id=None, eos_token_id=None,
    )


def rope(**scaling):
    return {"rope_theta": 10000.0, "rope_type": "default"} | scaling


def configs():
    """Name of the fixture, its configuration, and the largest size of a shard."""
    yield "qwen3_tied", Qwen3Config(**shape(True), rope_parameters=rope()), None
    yield "qwen3_untied", Qwen3Config(**shape(False), rope_parameters=rope()), None
    qwen2 = shape(True)
    del qwen2["head_dim"]  # Qwen2's width of a head is hidden_size / num_attention_heads
    yield "qwen2", Qwen2Config(**qwen2, rope_parameters=rope()), None
    llama3 = rope(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=40,
    )
    yield "llama3_sharded", LlamaConfig(**shape(False), rope_parameters=llama3), "12KB"
    yield "llama_biased", LlamaConfig(**shape(True), attention_bias=True, rope_parameters=rope()), None


def write(seed, name, config, shard):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    for name_of, weight in model.named_parameters():
        # Larger than the initial 0.02, norms away from one and biases away from zero, so that
        # every weight matters.
        norm = weight.dim() == 1 and "norm" in name_of
        weight.data.copy_(torch.randn_like(weight) * (0.25 if weight.dim() == 2 else 0.2) + norm)
    directory = HERE / name
    model.save_pretrained(directory, **({"max_shard_size": shard} if shard else {}))
    (directory / "generation_config.json").unlink(missing_ok=True)
    expected = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}",
        "prompts": PROMPTS,
        "logits_of_last": logits_of_last(model, PROMPTS, 3),
    }
    (directory / "expected.json").write_text(json.dumps(expected) + "\n")


def check(directory):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    expected = json.loads((directory / "expected.json").read_text())
    found = logits_of_last(model, expected["prompts"], 3)
    compare(directory, expected["logits_of_last"], found)


def compare(directory, ours, theirs):
    """Prints the largest difference of a logit, `[rows][tokens][V]` each, and refuses a large one."""
    worst = max(
        abs(a - b)
        for of_row, of_their_row in zip(ours, theirs, strict=True)
        for x, y in zip(of_row, of_their_row, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    print(f"{directory}: transformers {transformers.__version__}, largest difference {worst:.2e}")
    assert worst < 1e-4, worst


def main(description, write_all):
    """Writes the fixtures, or checks the directories that `--check` names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", type=pathlib.Path, nargs="+")
    return parser.parse_args().check or write_all()


def write_all():
    for seed, (name, config, shard) in enumerate(configs(), start=11):
        write(seed, name, config, shard)


if __name__ == "__main__":
    for saved in main(__doc__, write_all) or []:
        check(saved)
