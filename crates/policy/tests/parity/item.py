"""Writes a tiny policy that reads items, and what PyTorch computes of it in double precision.

    python crates/policy/tests/parity/item.py          # the fixture `item`, beside this file

The model is written down here once more, with autograd, from its equations. Its trie has Semantic IDs of
two and of three codes, an item that shares its Semantic ID, items without categories, and one history that
is longer than what is read. Items of the history have learned weights of repeats.
"""

import json
import math
import pathlib
import platform

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
SIZES = [5, 5, 4]  # codes of each level: flat tokens are counted through
SIDS = [
    [0, 1], [0, 3], [1, 2, 0], [1, 2, 1], [1, 2, 3], [1, 0], [2, 2], [4, 4, 0], [4, 4, 2], [4, 4, 2],
]
CATEGORIES = [[0, 2], [1], [], [2], [0, 1, 2], [3], [], [1, 3], [0], [0]]
HISTORIES = [[3], [0, 5, 9], [7, 7, 2, 1], [4, 8, 6, 3, 0, 1, 2, 5, 9]]
SEQUENCES = [[2, 3], [0, 5, 9, 1], [6, 6, 7, 8, 2, 4, 1, 0, 3]]
D, LAYERS, HEADS, FF, HEAD, MAX, TEXT, FILTER = 8, 2, 2, 12, 10, 6, 3, 0.4


def trie():
    """Nodes breadth first without the root: their prefixes, and each item's path."""
    flat = [[sum(SIZES[:l]) + c for l, c in enumerate(sid)] for sid in SIDS]
    prefixes = sorted({tuple(f[: n + 1]) for f in flat for n in range(len(f))}, key=lambda p: (len(p), p))
    row = {prefix: m for m, prefix in enumerate(prefixes)}
    return flat, prefixes, [[row[tuple(f[: n + 1])] for n in range(len(f))] for f in flat]


FLAT, PREFIXES, PATHS = trie()
LEVELS = max(map(len, PREFIXES))


def weights():
    shapes = {
        "embed_codes.weight": [max(p[-1] for p in PREFIXES) + 1, D],
        "embed_nodes.weight": [len(PREFIXES), D],
        "node_bias": [len(PREFIXES)],
        "text.levels": [LEVELS, TEXT, D],
        "text.items": [TEXT, D],
        "embed_categories.weight": [4, D],
        "norm.weight": [D], "norm.bias": [D],
        "repeats.level": [1], "repeats.distance.weight": [MAX, 1],
    }
    for i in range(LAYERS):
        name = f"layers.{i}."
        shapes[name + "attention.distance.weight"] = [MAX, HEADS]
        shapes[name + "filter.distance.weight"], shapes[name + "filter.high"] = [MAX, 1], [D]
        for part, out, into in [
            ("attention.qkv", 3 * D, D), ("attention.out", D, D),
            ("feed_forward.up", FF, D), ("feed_forward.down", D, FF),
        ]:
            shapes[name + part + ".weight"], shapes[name + part + ".bias"] = [out, into], [out]
        for part in ("attention_norm", "filter_norm", "feed_forward_norm"):
            shapes[name + part + ".weight"], shapes[name + part + ".bias"] = [D], [D]
    for level in range(LEVELS):
        for part, out, into in [("up", HEAD, D), ("down", D, HEAD)]:
            name = f"head.{level}.{part}"
            shapes[name + ".weight"], shapes[name + ".bias"] = [out, into], [out]
    torch.manual_seed(41)
    found = {}
    for name, shape in sorted(shapes.items()):
        centre = 1.0 if name.endswith("norm.weight") else 0.0
        scale = 0.2 if len(shape) == 1 else 0.4
        scale = 0.1 if name.startswith("repeats.") else scale
        # Rounded to single precision, which the file holds.
        found[name] = (torch.randn(shape) * scale + centre).double().requires_grad_(True)
    return found


class Model:
    def __init__(self, w, text):
        self.w, self.text = w, text

    def linear(self, name, x):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, name, x):
        return torch.nn.functional.layer_norm(x, [D], self.w[name + ".weight"], self.w[name + ".bias"], 1e-5)

    def node(self, m):
        """E[m]"""
        below = [i for i, path in enumerate(PATHS) if m in path]
        mean = self.text[below].mean(0)
        w = self.w
        level = len(PREFIXES[m]) - 1
        return w["embed_codes.weight"][PREFIXES[m][-1]] + w["embed_nodes.weight"][m] + mean @ w["text.levels"][level]

    def item(self, i):
        """x[i]"""
        x = sum(self.node(m) for m in PATHS[i]) + self.text[i] @ self.w["text.items"]
        return x + sum((self.w["embed_categories.weight"][c] for c in CATEGORIES[i]), torch.zeros(D).double())

    def states(self, history):
        """A state after each item of a history, read alone and item by item pairs."""
        x = self.norm("norm", torch.stack([self.item(i) for i in history[-MAX:]]))
        gelu = torch.nn.functional.gelu
        for i in range(LAYERS):
            name = f"layers.{i}."
            q, k, v = self.linear(name + "attention.qkv", x).split(D, -1)
            heads = []
            for h in range(HEADS):
                of = slice(h * D // HEADS, (h + 1) * D // HEADS)
                rows = []
                for t in range(len(x)):
                    distances = torch.arange(t, -1, -1)
                    bias = self.w[name + "attention.distance.weight"][distances, h]
                    scores = k[: t + 1, of] @ q[t, of] / math.sqrt(D // HEADS) + bias
                    rows.append(scores.softmax(0) @ v[: t + 1, of])
                heads.append(torch.stack(rows))
            attended = self.norm(name + "attention_norm", x + self.linear(name + "attention.out", torch.cat(heads, -1)))
            by_distance = self.w[name + "filter.distance.weight"][:, 0]
            low = torch.stack([by_distance[: t + 1].flip(0).softmax(0) @ x[: t + 1] for t in range(len(x))])
            filtered = self.norm(name + "filter_norm", x + low + self.w[name + "filter.high"] * (x - low))
            x = FILTER * filtered + (1 - FILTER) * attended
            wide = gelu(self.linear(name + "feed_forward.up", x))
            x = self.norm(name + "feed_forward_norm", x + self.linear(name + "feed_forward.down", wide))
        return x

    def path(self, state, item):
        """Log-probability of each code of an item."""
        logps = []
        for level, m in enumerate(PATHS[item]):
            up = torch.nn.functional.gelu(self.linear(f"head.{level}.up", state))
            of_level = state + self.linear(f"head.{level}.down", up)
            siblings = [n for n, p in enumerate(PREFIXES) if p[:-1] == PREFIXES[m][:-1]]
            scores = torch.stack([of_level @ self.node(n) + self.w["node_bias"][n] for n in siblings])
            logps.append(scores.log_softmax(0)[siblings.index(m)])
        return logps

    def factors(self, history):
        """exp w of each item of a history, and 1 for all others."""
        found = torch.ones(len(SIDS)).double()
        for place, item in enumerate(history[-MAX:]):
            distance = len(history[-MAX:]) - 1 - place
            w = 12 * torch.tanh(self.w["repeats.level"][0] + self.w["repeats.distance.weight"][distance, 0])
            found = torch.where(torch.arange(len(SIDS)) == item, w.exp(), found)  # a later place counts
        return found

    def items(self, history):
        """Log-probability of each item; those of one leaf share it."""
        state = self.states(history)[-1]
        of_leaf = [sum(self.path(state, i)) for i in range(len(SIDS))]
        own = torch.stack([p - math.log(SIDS.count(sid)) for p, sid in zip(of_leaf, SIDS)])
        factors = self.factors(history)
        of_leaf = [torch.stack([factors[i] for i, o in enumerate(SIDS) if o == sid]).mean() for sid in SIDS]
        weighed = own + torch.stack(of_leaf).log()
        return weighed - weighed.logsumexp(0)

    def repeats(self, state, history, target):
        """What the weights of repeats change of −log p of each code of the next item; the rest is constant."""
        own = torch.stack([sum(self.path(state, i)) - math.log(SIDS.count(SIDS[i])) for i in range(len(SIDS))])
        p, factors = own.detach().exp(), self.factors(history)
        below = [range(len(SIDS))] + [[i for i, path in enumerate(PATHS) if m in path] for m in PATHS[target]]
        logs = [((p * factors)[list(b)].sum() / p[list(b)].sum()).log() for b in below]
        return [parent - node for parent, node in zip(logs, logs[1:])]

    def loss(self, sequences):
        """Sum over positions of −log p of each level's code."""
        by_level = [torch.zeros(()).double() for _ in range(LEVELS)]
        for sequence in sequences:
            sequence = sequence[-(MAX + 1):]
            for at, (state, target) in enumerate(zip(self.states(sequence[:-1]), sequence[1:])):
                of_repeats = self.repeats(state, sequence[: at + 1], target)
                for level, logp in enumerate(self.path(state, target)):
                    by_level[level] = by_level[level] - logp + of_repeats[level]
        return by_level


def write():
    w = weights()
    torch.manual_seed(42)
    text = torch.randn(len(SIDS), TEXT).double().float().double()
    model = Model(w, text)
    directory = HERE / "item"
    directory.mkdir(exist_ok=True)
    tensors = {name: x.detach().float().contiguous() for name, x in w.items()}
    flat = [f + [-1] * (LEVELS - len(f)) for f in FLAT]
    starts = [sum(len(c) for c in CATEGORIES[:i]) for i in range(len(SIDS) + 1)]
    tensors["items.tokens"] = torch.tensor(flat)
    tensors["items.text"] = text.float()
    tensors["items.category_starts"] = torch.tensor(starts)
    tensors["items.categories"] = torch.tensor([c for list_ in CATEGORIES for c in list_])
    save_file(tensors, str(directory / "model.safetensors"), metadata={"format": "pt"})
    config = dict(
        architectures=["ItemPolicy"], model_type="sidereal_item", dtype="float32", hidden_act="gelu",
        hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=FF,
        head_hidden_size=HEAD, max_history=MAX, filter_share=FILTER, repeats=True, layer_norm_eps=1e-5,
    )
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    by_level = model.loss(SEQUENCES)
    sum(by_level).backward()
    expected = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}",
        "sids": SIDS,
        "histories": HISTORIES,
        "log_probs": [model.items(history).tolist() for history in HISTORIES],
        "sequences": SEQUENCES,
        "loss_by_level": [float(x.detach()) for x in by_level],
        "gradients": {name: x.grad.flatten().tolist() for name, x in w.items()},
    }
    (directory / "expected.json").write_text(json.dumps(expected) + "\n")
    print({name: round(float(x.grad.abs().max()), 3) for name, x in w.items()})


if __name__ == "__main__":
    write()
