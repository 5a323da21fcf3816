"""Writes tiny pretrained checkpoints without Semantic IDs, and what transformers makes of them.

    python crates/policy/tests/parity/vocabulary.py            # the fixtures, beside this file
    python crates/policy/tests/parity/vocabulary.py --check D  # does transformers open what
                                                               # `extend_pretrained` wrote into D?

Three kinds of tokenizer, trained here: byte-level BPE as Qwen's and as Llama 3's, unigram pieces as
T5's (which differ from run to run). `expected.json` holds the ids of texts once transformers has
added the tokens of the codes. The second form compares ids and logits with `expected.json` in D, which the test
`an_extended_checkpoint_reads_and_predicts_as_before` leaves in `target/tmp/extended_*`.
"""

import json
import pathlib
import platform
import tempfile

import decoders as of_decoders
import t5 as of_t5
import torch
import transformers
from decoders import main, rope, shape
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen3Config
from transformers import AutoModelForSeq2SeqLM, PreTrainedTokenizerFast, T5Config

HERE = pathlib.Path(__file__).parent
CORPUS = [
    "matte red lipstick with a long lasting shine, 3.5 g",
    "the user bought shampoo for dry hair and conditioner with argan oil",
    "what will the user buy next? answer with the id of one item only",
    "naïve café, 12 ml; sulfate-free spray (pack of 2)",
] * 20
CODES = [f"<{letter}_{code}>" for letter in "ab" for code in range(4)]
TEXTS = [
    "the next item:<a_1><b_2>",
    "é<a_3>è <b_0>",
    "<a_1> <b_0>  <a_2>",
    " <a_1>x",
    "<a_12> is no code, nor is a_0> or <a _0>",
    "<<a_0>><a_0",
    "日本<b_3>語",
    "\n<a_0>\t<b_1>\r\n",
    "cafe\u0301<a_2>cafe\u0301",
    "red lipstick's shine, 3500 ml",
    "<A_0><a_0>",
    "<a_0><a_0><a_0><b_3><b_3>",
    "",
]


def bpe(split, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    return tokenizer


def qwen():
    """Words with the space before them, digits one by one, composed characters."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = bpe(r"'s|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+", special)
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer, dict(eos_token="<|im_end|>", pad_token="<|endoftext|>")


def llama3():
    """Digits by threes, a beginning of text, no padding token."""
    special = ["<|begin_of_text|>", "<|eot_id|>"]
    tokenizer = bpe(r"(?i:'s)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+", special)
    first = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[first]
    )
    return tokenizer, dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")


def t5():
    """Unigram pieces that begin words with a mark, an end behind every text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=140, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(f"<extra_id_{i}>", special=True) for i in range(3)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer, dict(eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def config(name, size):
    """The architecture, with more rows than tokens except for Llama's."""
    sizes = shape(name == "qwen")
    del sizes["vocab_size"]
    if name == "qwen":
        return Qwen3Config(**sizes, vocab_size=size + 5, rope_parameters=rope())
    if name == "llama3":
        return LlamaConfig(**sizes, vocab_size=size, rope_parameters=rope())
    return T5Config(
        vocab_size=size + 12, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        relative_attention_num_buckets=8, decoder_start_token_id=0,
    )


def model_class(config):
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def write(seed, name, tokenizer, special):
    torch.manual_seed(seed)
    directory = HERE / f"base_{name}"
    settings = config(name, tokenizer.get_vocab_size())
    model = model_class(settings).from_config(settings).float().eval()
    for weight in model.parameters():
        weight.data.copy_(torch.randn_like(weight) * (0.25 if weight.dim() == 2 else 1.0))
    model.save_pretrained(directory)
    # Settings of a base that nobody who extends it should inherit.
    generation = {"do_sample": True, "temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05}
    (directory / "generation_config.json").write_text(json.dumps(generation) + "\n")
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    # A class of its own, as bases have, which may build another pipeline than the file's.
    classes = {"qwen": "Qwen2Tokenizer", "llama3": "PreTrainedTokenizerFast", "t5": "T5Tokenizer"}
    settings = {"tokenizer_class": classes[name], "model_max_length": 160} | special
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **special)
    theirs.add_tokens([AddedToken(code, normalized=False) for code in CODES])
    with tempfile.TemporaryDirectory() as saved:
        theirs.save_pretrained(saved)
        theirs = AutoTokenizer.from_pretrained(saved)
        expected = {
            "made_by": f"python {platform.python_version()}, transformers {transformers.__version__}",
            "tokens": len(tokenizer.get_vocab()),
            "codes": theirs.convert_tokens_to_ids(CODES),
            "texts": [
                {
                    "text": text,
                    "ids": theirs(text, add_special_tokens=False)["input_ids"],
                    "framed": theirs(text)["input_ids"],
                }
                for text in TEXTS
            ],
        }
    (directory / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


def check(directory):
    expected = json.loads((directory / "expected.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory)
    for row in reversed(expected["texts"]):  # the first, which is not empty, last
        assert tokenizer(row["text"], add_special_tokens=False)["input_ids"] == row["ids"], row
        assert tokenizer(row["text"])["input_ids"] == row["framed"], row
    settings = json.loads((directory / "generation_config.json").read_text())
    assert all(key.endswith("_token_id") for key in settings), settings
    architecture = transformers.AutoConfig.from_pretrained(directory)
    model = model_class(architecture).from_pretrained(directory, dtype=torch.float32).eval()
    assert model.get_input_embeddings().num_embeddings == architecture.vocab_size >= len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    written = model.generate(torch.tensor([row["framed"]]), max_new_tokens=3, min_new_tokens=3)
    print(f"{directory}: {len(expected['texts'])} texts equal, generates {written[0, -3:].tolist()}")
    (of_t5 if architecture.is_encoder_decoder else of_decoders).check(directory)


def write_all():
    for seed, make in enumerate([qwen, llama3, t5], start=5):
        write(seed, make.__name__, *make())


if __name__ == "__main__":
    for saved in main(__doc__, write_all) or []:
        check(saved)
