"""Writes a tiny random Qwen3 text encoder and what sentence-transformers makes of it.

    python crates/policy/tests/parity/encoders.py
"""

import json
import pathlib
import shutil
import tempfile

import sentence_transformers
import tokenizers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

HERE = pathlib.Path(__file__).parent / "qwen3_encoder"
WORDS = "next item red matte lipstick shine spray for dry hair oil query document find the best".split()
TEXTS = ["red", "matte red lipstick", "shine spray for dry hair", "", "unseen words here", " ".join(WORDS * 3)]


def write_base(directory):
    torch.manual_seed(51)
    config = Qwen3Config(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=40, rms_norm_eps=1e-6,
    )
    body = Qwen3Model(config).float().eval()
    for weight in body.parameters():
        scale = 0.25 if weight.dim() == 2 else 0.2
        weight.data.copy_(torch.randn_like(weight) * scale + (weight.dim() == 1))
    body.save_pretrained(directory)
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        padding_side="left", model_max_length=30,
    ).save_pretrained(directory)


def main():
    with tempfile.TemporaryDirectory() as base:
        write_base(base)
        made = {}
        for name, mode, normalise, prompt in [
            ("last token", "lasttoken", True, None), ("last token, query", "lasttoken", True, "query"),
            ("mean, as it comes", "mean", False, "query"), ("first token", "cls", True, None),
        ]:
            modules = [Transformer(base), Pooling(16, mode)] + ([Normalize()] if normalise else [])
            model = SentenceTransformer(
                modules=modules, device="cpu",
                prompts={"query": "find the best item for the query ", "document": ""},
            )
            vectors = model.encode(TEXTS, batch_size=4, prompt_name=prompt)
            made[name] = [[round(float(x), 6) for x in row] for row in vectors]
            if name == "last token":
                shutil.rmtree(HERE, ignore_errors=True)
                model.save(str(HERE), create_model_card=False)
    out = {
        "made_by": f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}",
        "texts": TEXTS,
        "vectors": made,
    }
    (HERE / "expected.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
