"""Writes tiny GGUF models of random blocks, and what transformers makes of them.

    python crates/policy/tests/parity/gguf_models.py                      # the fixtures in `gguf/`
    python crates/policy/tests/parity/gguf_models.py --model DIR --items FILE OUT  # the same of a real model, see below
    python crates/policy/tests/parity/gguf_models.py --exported DIR --known OUT EXPORTED  # of its export, see below

Needs torch, transformers, accelerate and gguf. The files in `gguf/`:

- `llama.gguf`: a Llama with all element types, an output head of its own, words as SmolLM cuts them
- `qwen3.gguf`: a Qwen3 with a tied head and norms of heads, words as Qwen2 cuts them, unused rows
- `llama3_words.gguf`: only a tokenizer, with the words of Llama 3 and a beginning token
- `expected.json`: logits, token ids, a conversation

transformers does not know the words of SmolLM (digits are cut off before everything else): for that name its
tokenizer gets the step of SmolLM's own `tokenizer.json`. The ids were compared with llama.cpp too (`--llama-cpp`,
with the package xllamacpp).

The second form reads the model in DIR, and titles from a file of RecBole items, and writes logits and the ids of
1,000 texts to OUT, for the ignored test `smollm2`.

The third form reads the folder that `sidereal export` made of that model, as any HF folder: no GGUF, nothing put right.
It prints how far ids, conversation and logits are from those in OUT, and writes its own to EXPORTED, in the same form.
"""

import argparse
import json
import pathlib
import platform
import random

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent / "gguf"
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which item  is next? 12"}]
TEXTS = [
    "", " ", "Hello world 12345", "  a  b\n\n c", "x  12", "a\t\t3 4\r\n", "<|im_start|>user\nhi<|im_end|>",
    "it's we'll I'D 'tis", "naïve café — 語る ▁ 😀👍🏽 ﬁ", "e\u0301 \u00e9 \u212b \u1e9b\u0323", "٣٤ ½ Ⅷ ²",
    "def f(x):\n    return x**2  # 3.14e-10\n", "{\"a\": [1, 2.5, null]}", "L'Oreal Paris Elvive, 12.6 fl. oz. (Pack of 2)",
    "<think>so</think> it", "\u00a0\u2003x\u200b", "..."
]


def words(name):
    """What cuts texts before the merges."""
    own = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), own])
    return own


def vocabulary():
    """Tokens, their types and merges: control tokens, bytes, pieces, and a text that is always whole."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = words("smollm")
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([*TEXTS, __doc__] * 2, trainer)
    model = json.loads(bpe.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    types = [3 if token in special else 1 for token in tokens]
    tokens += ["<think>", "</think>"]
    types += [4, 4]
    return tokens, types, [" ".join(pair) for pair in model["merges"]]


def add_tokenizer(writer, pre, unused=0, bos=False):
    tokens, types, merges = vocabulary()
    tokens += [f"[PAD{number}]" for number in range(unused)]
    types += [5] * unused
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(bos)
    writer.add_chat_template(CHAT)
    return len(tokens)


def blocks(kind, shape, rng, spread=0.3):
    """Random numbers around zero, stored as `kind`: what `quantize` makes, or random blocks for the types that it does
    not make."""
    if kind not in (Type.Q4_K, Type.Q6_K):
        return gguf.quants.quantize((rng.normal(size=shape) * spread).astype(np.float32), kind)
    per_block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, size=(*shape[:-1], shape[-1] // per_block, size), dtype=np.uint8)

    def put(at, value):
        scales = (value * rng.uniform(0.5, 1.5, size=data.shape[:-1])).astype(np.float16)
        data[..., at : at + 2] = scales[..., None].view(np.uint8)

    if kind == Type.Q4_K:
        put(0, spread / 256)
        put(2, 7.5 * spread / 256)
    else:
        put(208, spread / 1024)
    return data.reshape(*shape[:-1], -1)


def mix(numbers, heads):
    """Rows as llama.cpp's converter puts them, `LlamaModel.permute`."""
    return numbers.reshape(heads, 2, numbers.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(numbers.shape)


def write(name, arch, pre, layers, hidden, heads, keys, head_dim, wide, tied, unused, norms, bos=False):
    """A model whose tensors have the types of `layers`, one dictionary for each."""
    rng = np.random.default_rng(len(name))
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", arch)
    vocab = add_tokenizer(writer, pre, unused, bos)
    writer.add_block_count(len(layers))
    writer.add_context_length(1024)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
        writer.add_vocab_size(vocab)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)

    def add(tensor, kind, *shape):
        data = blocks(kind, shape, rng)
        writer.add_tensor(tensor, data, raw_dtype=kind if data.dtype == np.uint8 else None)

    def add_norm(tensor, width):
        writer.add_tensor(tensor, rng.uniform(0.8, 1.2, size=width).astype(np.float32))

    add("token_embd.weight", Type.Q6_K if hidden % 256 == 0 else Type.Q8_0, vocab, hidden)
    add_norm("output_norm.weight", hidden)
    if not tied:
        add("output.weight", Type.Q4_0, vocab, hidden)
    for number, types in enumerate(layers):
        part = f"blk.{number}."
        add_norm(part + "attn_norm.weight", hidden)
        add_norm(part + "ffn_norm.weight", hidden)
        if norms:
            add_norm(part + "attn_q_norm.weight", head_dim)
            add_norm(part + "attn_k_norm.weight", head_dim)
        add(part + "attn_q.weight", types["q"], heads * head_dim, hidden)
        add(part + "attn_k.weight", types["k"], keys * head_dim, hidden)
        add(part + "attn_v.weight", types["v"], keys * head_dim, hidden)
        add(part + "attn_output.weight", types["o"], hidden, heads * head_dim)
        add(part + "ffn_gate.weight", types["gate"], wide, hidden)
        add(part + "ffn_up.weight", types["up"], wide, hidden)
        add(part + "ffn_down.weight", types["down"], hidden, wide)
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def kinds(names):
    return dict(zip(["q", "k", "v", "o", "gate", "up", "down"], [Type[name] for name in names.split()]))


def pre_of(path):
    return gguf.GGUFReader(path).fields["tokenizer.ggml.pre"].contents()


def tokenizer_of(path):
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    plain = tokenizer.backend_tokenizer.to_str()
    if pre_of(path) == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = words("smollm")
    return tokenizer, Tokenizer.from_str(plain)


def ids_of(path, texts):
    """Ids without the tokens around a text, and for how many texts plain transformers gives others."""
    tokenizer, plain = tokenizer_of(path)
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    others = [plain.encode(text, add_special_tokens=False).ids for text in texts]
    return ids, sum(one != other for one, other in zip(ids, others))


@torch.no_grad()
def logits_of(path, prompts, count, round_to):
    """Logits of the last `count` tokens of each prompt, of a GGUF file or an HF folder."""
    where, how = (path.parent, {"gguf_file": path.name}) if path.is_file() else (path, {})
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **how).eval()
    out = []
    for prompt in prompts:
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -count:]
        out.append([[round(x, round_to) for x in row] for row in logits.tolist()])
    return out


def conversation(tokenizer):
    return tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)


def compare_with_llama_cpp(path, texts, ids):
    """Prints for how many texts llama.cpp gives other ids."""
    import urllib.request

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.warmup = 64, False
    server = xllamacpp.Server(params)
    differ = []
    for text, expected in zip(texts, ids):
        body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        request = urllib.request.Request(f"{server.listening_address}/tokenize", body)
        found = json.load(urllib.request.urlopen(request))["tokens"]
        if found != expected:
            differ.append((text, expected, found))
    print(f"{path.name}: llama.cpp gives other ids for {len(differ)} of {len(texts)} texts")
    for one in differ[:5]:
        print("  ", one)


def fixtures(llama_cpp):
    HERE.mkdir(exist_ok=True)
    mixed = [kinds("Q4_K Q6_K Q4_0 Q8_0 Q4_1 F16 BF16"), kinds("F32 Q4_1 Q6_K Q4_0 Q4_K Q8_0 Q4_1")]
    write("llama", "llama", "smollm", mixed, 256, 4, 2, 16, 64, tied=False, unused=0, norms=False)
    plain = [kinds("Q8_0 F16 Q4_0 Q4_1 BF16 F32 Q8_0")]
    # transformers reads no width of heads for Qwen3: it takes 128.
    write("qwen3", "qwen3", "qwen2", plain, 32, 2, 1, 128, 32, tied=True, unused=7, norms=True)
    writer = gguf.GGUFWriter(HERE / "llama3_words.gguf", "llama")
    add_tokenizer(writer, "llama-bpe", bos=True)
    finish(writer)
    expected = {
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "texts": TEXTS,
        "messages": MESSAGES,
    }
    prompts = [[5], [3, 9, 60, 1, 1, 2], [(7 * i * i + 3 * i) % 320 for i in range(150)]]
    for name in ["llama", "qwen3", "llama3_words"]:
        path = HERE / f"{name}.gguf"
        ids, differ = ids_of(path, TEXTS)
        print(f"{name}: plain transformers gives other ids for {differ} of {len(TEXTS)} texts")
        tokenizer, _ = tokenizer_of(path)
        expected[name] = {"ids": ids, "conversation": conversation(tokenizer)}
        if name != "llama3_words":
            expected[name] |= {"prompts": prompts, "logits_of_last": logits_of(path, prompts, 1, 5)}
            if llama_cpp:
                compare_with_llama_cpp(path, TEXTS, ids)
    (HERE / "expected.json").write_text(json.dumps(expected))


def texts_of(items):
    """1,000 texts: titles of items, and numbers, Unicode, code and white space by a fixed rule."""
    rng = random.Random(7)
    titles = [line.split("\t") for line in pathlib.Path(items).read_text("utf-8").splitlines()[1:]]
    titles = [field for fields in titles for field in fields if " " in field and len(field) > 12]
    texts = list(TEXTS) + rng.sample(titles, 500)
    code = [line for line in pathlib.Path(__file__).read_text("utf-8").splitlines() if line.strip()]
    ranges = [(32, 126), (160, 591), (880, 1279), (0x4E00, 0x4EFF), (0x1F300, 0x1F5FF), (0x2150, 0x218B), (0x300, 0x36F)]
    white = [" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000"]
    while len(texts) < 1000:
        kind = len(texts) % 4
        if kind == 0:
            texts.append(" ".join(f"{rng.uniform(-1e6, 1e6):.{rng.randrange(5)}f}" for _ in range(rng.randrange(1, 9))))
        elif kind == 1:
            low, high = rng.choice(ranges)
            texts.append("".join(rng.choice([chr(rng.randint(low, high)), " ", "a"]) for _ in range(30)))
        elif kind == 2:
            at = rng.randrange(len(code) - 3)
            texts.append("\n".join(code[at : at + rng.randrange(1, 4)]))
        else:
            texts.append("".join(rng.choice(white + ["word", "7", "."]) for _ in range(20)))
    return texts[:1000]


def real(folder, items, out, llama_cpp):
    path = next(pathlib.Path(folder).glob("*.gguf"))
    texts = texts_of(items)
    ids, differ = ids_of(path, texts)
    print(f"{path.name}: plain transformers gives other ids for {differ} of {len(texts)} texts")
    if llama_cpp:
        compare_with_llama_cpp(path, texts, ids)
    tokenizer, _ = tokenizer_of(path)
    talk = conversation(tokenizer)
    prompts = [tokenizer(talk, add_special_tokens=False).input_ids, ids[20], sum(ids[17:80], [])[:600]]
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    logits = logits_of(path, prompts, 2, 5)
    expected = {"texts": texts, "messages": MESSAGES, "ids": ids, "conversation": talk}
    out.write_text(json.dumps(expected | {"prompts": prompts, "logits_of_last": logits}))


def exported(folder, known, out):
    folder, known = pathlib.Path(folder), json.loads(pathlib.Path(known).read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in known["texts"]]
    differ = sum(one != other for one, other in zip(ids, known["ids"]))
    talk = conversation(tokenizer)
    same = "the same" if talk == known["conversation"] else "ANOTHER"
    logits = logits_of(folder, known["prompts"], len(known["logits_of_last"][0]), 5)
    worst = np.abs(np.array(logits) - np.array(known["logits_of_last"])).max()
    print(f"{folder.name}: other ids for {differ} of {len(ids)} texts, {same} conversation, largest difference of a logit {worst:.1e}")
    pathlib.Path(out).write_text(json.dumps(known | {"ids": ids, "conversation": talk, "logits_of_last": logits}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--items")
    parser.add_argument("--exported")
    parser.add_argument("--known")
    parser.add_argument("--llama-cpp", action="store_true")
    parser.add_argument("out", nargs="?")
    args = parser.parse_args()
    if args.exported:
        exported(args.exported, args.known, args.out)
    elif args.model:
        real(args.model, args.items, args.out, args.llama_cpp)
    else:
        fixtures(args.llama_cpp)


main()
