"""Writes tiny random T5 checkpoints and the logits of transformers.

    python crates/policy/tests/parity/t5.py            # the fixtures, beside this file
    python crates/policy/tests/parity/t5.py --check D  # does transformers open what `T5::save`
                                                       # wrote into D?

The second form compares with `expected.json` in D: prompts, answers and our logits, as the test
`a_saved_t5_loads_with_equal_logits` leaves them in `target/tmp/saved_t5_*`.
"""

import json
import pathlib
import platform

import torch
import transformers
from decoders import compare, main
from transformers import T5Config, T5ForConditionalGeneration

HERE = pathlib.Path(__file__).parent
# One prompt and one answer are longer than the distances that have a bucket of their own.
PROMPTS = [[5], [3, 9, 60, 1, 1, 2], [7, 63, 1, 12], [(7 * i * i + 3 * i) % 64 for i in range(60)]]
ANSWERS = [[9, 8], [4], [2, 2, 7, 31, 63], [(5 * i * i + i) % 64 for i in range(40)]]


def pad(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


@torch.no_grad()
def logits(model, prompts, answers):
    """Logits before each token of each answer and behind its last: [rows][1 + S][V]."""
    mask = pad([[1] * len(row) for row in prompts])
    start = model.config.decoder_start_token_id
    found = model(
        input_ids=pad(prompts), attention_mask=mask,
        decoder_input_ids=pad([[start] + row for row in answers]),
    ).logits
    rows = [found[i, : 1 + len(row)] for i, row in enumerate(answers)]
    return [[[round(x, 6) for x in step] for step in row.tolist()] for row in rows]


def configs():
    shape = dict(
        vocab_size=64, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_decoder_layers=3, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    yield "t5_relu_tied", T5Config(**shape, feed_forward_proj="relu")
    yield "t5_gated_untied", T5Config(**shape, feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def write(seed, name, config):
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(config).float().eval()
    if not config.scale_decoder_outputs:
        # transformers 5 ties the head until a checkpoint has one that differs.
        model.lm_head.weight = torch.nn.Parameter(torch.empty(config.vocab_size, config.d_model))
    for name_of, weight in model.named_parameters():
        # Norms away from one, and tables of distances that matter.
        scale = 0.2 if weight.dim() == 1 else 1.0 if "bias" in name_of or "shared" in name_of else 0.3
        weight.data.copy_(torch.randn_like(weight) * scale + (weight.dim() == 1))
    directory = HERE / name
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    expected = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}",
        "prompts": PROMPTS,
        "answers": ANSWERS,
        "logits": logits(model, PROMPTS, ANSWERS),
    }
    (directory / "expected.json").write_text(json.dumps(expected) + "\n")


def check(directory):
    model = T5ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    expected = json.loads((directory / "expected.json").read_text())
    found = logits(model, expected["prompts"], expected["answers"])
    compare(directory, expected["logits"], found)


def write_all():
    for seed, (name, config) in enumerate(configs(), start=31):
        write(seed, name, config)


if __name__ == "__main__":
    for saved in main(__doc__, write_all) or []:
        check(saved)
