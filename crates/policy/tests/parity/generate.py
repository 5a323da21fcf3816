"""Writes what `generate` of transformers finds by beam search under a prefix constraint.

    python crates/policy/tests/parity/generate.py

Runs on the checkpoints beside this file and leaves a `beams.json` in each: a catalogue, the
vocabulary ids of its codes, prompts, and for each prompt the Semantic IDs with their scores.
"""

import json
import pathlib
import platform

import torch
import transformers
from transformers import AutoModelForCausalLM, T5ForConditionalGeneration

HERE = pathlib.Path(__file__).parent
SIZE, LEVELS, FIRST, BEAMS, USERS = 5, 3, 45, 4, 32
SIDS = [[(i * i + i // 7) % SIZE, (3 * i + i // 5) % SIZE, i % SIZE] for i in range(40)]
PROMPTS = [[1 + (u * 13 + 7 * i * i) % 60 for i in range(1 + u * 5 % 17)] for u in range(USERS)]


def token(level, code):
    return FIRST + level * SIZE + code


def run(name, model):
    paths = sorted({tuple(token(level, code) for level, code in enumerate(sid)) for sid in SIDS})
    seq2seq = model.config.is_encoder_decoder
    longest = max(map(len, PROMPTS))
    fill = [[0] * (longest - len(prompt)) for prompt in PROMPTS]
    side = (lambda row, pad: row + pad) if seq2seq else (lambda row, pad: pad + row)
    ids = torch.tensor([side(p, pad) for p, pad in zip(PROMPTS, fill)])
    mask = torch.tensor([side([1] * len(p), pad) for p, pad in zip(PROMPTS, fill)])
    before = 1 if seq2seq else longest

    def allowed(_, sequence):
        written = tuple(sequence[before:].tolist())
        legal = {path[len(written)] for path in paths if path[: len(written)] == written}
        return sorted(legal) or [0]

    found = model.generate(
        input_ids=ids, attention_mask=mask, num_beams=BEAMS, num_return_sequences=BEAMS,
        max_new_tokens=LEVELS, min_new_tokens=LEVELS, do_sample=False, length_penalty=0.0,
        eos_token_id=None, pad_token_id=0, prefix_allowed_tokens_fn=allowed,
        return_dict_in_generate=True, output_scores=True,
        use_cache=not seq2seq,  # its cache has a layer for each of the encoder's, here fewer
    )
    written = (found.sequences[:, before:] - FIRST - SIZE * torch.arange(LEVELS)).tolist()
    scores = found.sequences_scores.tolist()
    rows = [slice(u * BEAMS, (u + 1) * BEAMS) for u in range(USERS)]
    data = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}",
        "codebook_sizes": [SIZE] * LEVELS,
        "sids": [[code for code in sid] for sid in sorted({tuple(sid) for sid in SIDS})],
        "ids": [FIRST + i for i in range(SIZE * LEVELS)],
        "prompts": PROMPTS,
        "beams": [written[row] for row in rows],
        "scores": [[round(x, 6) for x in scores[row]] for row in rows],
    }
    (HERE / name / "beams.json").write_text(json.dumps(data) + "\n")
    print(name, data["beams"][0], data["scores"][0])


if __name__ == "__main__":
    for name in ["t5_relu_tied", "t5_gated_untied"]:
        run(name, T5ForConditionalGeneration.from_pretrained(HERE / name).float().eval())
    for name in ["qwen3_untied", "llama_biased"]:
        run(name, AutoModelForCausalLM.from_pretrained(HERE / name).float().eval())
