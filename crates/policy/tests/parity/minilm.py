"""Writes minilm.json: sentence vectors of sentence-transformers for texts of many kinds.

    python crates/policy/tests/parity/minilm.py path/to/all-MiniLM-L6-v2
"""

import json
import pathlib
import sys

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

TEXTS = [
    "Matte red lipstick, long lasting, 3.5 g",
    "a",
    "",
    "Crème brûlée naïve façade Ångström ß ﬁ",
    "日本語のシャンプー 500ml",
    "emoji 💄✨ and\ttabs\nand newlines",
    "UPPER lower MiXeD 12,345.67 $ % & (brackets) [more] {these}",
    "supercalifragilisticexpialidocious" * 4,
    " ".join(f"word{i} with shine and {i * 37 % 101} colours" for i in range(120)),
    "Shampoo for dry hair with argan oil; sulfate-free, 16 oz (pack of 2)",
]

if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1])
    settings = json.loads((path / "sentence_bert_config.json").read_text())
    body = Transformer(str(path), max_seq_length=settings["max_seq_length"])
    model = SentenceTransformer(modules=[body, Pooling(384, "mean"), Normalize()], device="cpu")
    vectors = model.encode(TEXTS, batch_size=3)
    out = {
        "made_by": f"sentence-transformers {sentence_transformers.__version__}, "
        f"torch {torch.__version__}",
        "tokens": [len(model.tokenizer(t)["input_ids"]) for t in TEXTS],
        "limit": model.max_seq_length,
        "texts": TEXTS,
        "vectors": [[round(float(x), 6) for x in row] for row in vectors],
    }
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(out, ensure_ascii=False) + "\n")
    print(out["tokens"], out["limit"], target.stat().st_size)
