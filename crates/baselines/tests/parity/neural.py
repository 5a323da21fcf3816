"""Writes neural.json: the first loss and the gradients of every neural model, by PyTorch in f64.

Run: python3 neural.py > neural.json
The models are written down here once more, from their equations, with autograd. Each row is computed on
its own, without padding where the model needs none, attention is written out, the filter of BSARec is a
Fourier transform, the filters of Caser are convolutions, and the recurrent network is torch.nn.GRU.
Weights come from a closed formula of their names. Nothing is dropped out.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS = [[1, 4, 2, 6, 3], [5, 0], [2, 3, 1], [6, 5, 4, 0, 2, 1]]
ATTRIBUTES = [[0, 2], [1], [], [3, 4], [0, 1, 2], [4], [2]]
N, A, D, INNER, PLACES = 7, 5, 4, 6, 6


def formula(name, shape):
    """Numbers that are far from each other; norms are near 1."""
    start = sum((i + 1) * byte for i, byte in enumerate(name.encode())) % 101
    count = math.prod(shape)
    values = [0.4 * math.sin(0.9 * (i + 1) + start) + 0.1 * math.cos(2.3 * i * i) for i in range(count)]
    tensor = torch.tensor(values).reshape(shape)
    return tensor + 1 if name.endswith("norm.weight") else tensor


class Weights(dict):
    def __call__(self, name, *shape):
        if name not in self:
            self[name] = formula(name, shape).requires_grad_()
        assert self[name].shape == shape, name
        return self[name]

    def linear(self, name, x, out):
        return x @ self(name + ".weight", out, x.shape[-1]).T + self(name + ".bias", out)

    def norm(self, name, x):
        width = x.shape[-1]
        return F.layer_norm(x, (width,), self(name + ".weight", width), self(name + ".bias", width), 1e-12)


def attention(w, name, x, added, heads):
    """x [T, D]; added [T, T]."""
    d = x.shape[1]
    qkv = w.linear(name + ".qkv", x, 3 * d)
    out = []
    for h in range(heads):
        q, k, v = (qkv[:, p * d + h * (d // heads) : p * d + (h + 1) * (d // heads)] for p in range(3))
        out.append(torch.softmax(q @ k.T / math.sqrt(d // heads) + added, -1) @ v)
    return w.norm(name + ".norm", x + w.linear(name + ".out", torch.cat(out, 1), d))


def feed_forward(w, name, x, inner=INNER):
    up = F.gelu(w.linear(name + ".up", x, inner))
    return w.norm(name + ".norm", x + w.linear(name + ".down", up, x.shape[1]))


def transformer(w, name, x, added, layers=2, heads=2):
    for i in range(layers):
        x = attention(w, f"{name}.{i}.attention", x, added, heads)
        x = feed_forward(w, f"{name}.{i}.feed_forward", x)
    return x


def causal(t):
    return torch.full((t, t), -torch.inf).triu(1)


def both(t):
    return torch.zeros(t, t)


def embed(w, items, rows=N, first=0):
    return w("items", rows, D)[items] + w("positions", PLACES, D)[first : first + len(items)]


def next_items(w, state, answers, rows):
    """Mean cross-entropy over all positions; state: row of items -> [T, D]."""
    states = torch.cat([state(row[:-1]) for row in rows])
    targets = torch.tensor([item for row in rows for item in row[1:]])
    return F.cross_entropy(states @ answers.T, targets)


def last_items(w, state, answers, rows):
    states = torch.stack([state(row[:-1]) for row in rows])
    return F.cross_entropy(states @ answers.T, torch.tensor([row[-1] for row in rows]))


def sasrec_states(w, row, first=0):
    x = w.norm("norm", embed(w, row, first=first))
    return transformer(w, "layers", x, causal(len(row)))


def sasrec(w, rows):
    return next_items(w, lambda row: sasrec_states(w, row), w("items", N, D), rows)


def sasrec_from_last(w, rows):
    return next_items(w, lambda row: sasrec_states(w, row, PLACES - len(row)), w("items", N, D), rows)


def sasrec_prefixes(w, rows):
    return last_items(w, lambda row: sasrec_states(w, row)[-1], w("items", N, D), rows)


def sasrec_pairs(kind):
    def loss(w, rows):
        total = []
        for row in rows:
            (drawn,) = set(range(N)) - set(row)  # the one item that the row does not hold
            states = sasrec_states(w, row[:-1])
            own = (states * w("items", N, D)[row[1:]]).sum(1)
            other = states @ w("items", N, D)[drawn]
            total.append(-F.logsigmoid(own) - F.logsigmoid(-other) if kind == "bce" else -F.logsigmoid(own - other))
        return torch.cat(total).mean()

    return loss


def gru4rec(w, rows):
    g = 5
    gru = torch.nn.GRU(D, g, num_layers=2, bias=False, batch_first=True)
    names = {"weight_ih_l0": ("layers.0.input", D), "weight_hh_l0": ("layers.0.state", g),
             "weight_ih_l1": ("layers.1.input", g), "weight_hh_l1": ("layers.1.state", g)}
    values = {name: w(ours, 3 * g, into) for name, (ours, into) in names.items()}

    def state(row):
        x = w("items", N, D)[row].unsqueeze(0)
        out, _ = torch.func.functional_call(gru, values, (x,))
        return w.linear("dense", out[0], D)

    return next_items(w, state, w("items", N, D), rows)


def bsarec(w, rows, alpha=0.6, c=3, heads=2):
    def state(row):
        empty = PLACES - len(row)
        x = torch.cat([torch.zeros(empty, D), w("items", N, D)[row]]) + w("positions", PLACES, D)
        x = w.norm("norm", x)
        open_ = torch.ones(PLACES, PLACES).tril() * (torch.arange(PLACES) >= empty)
        for i in range(2):
            name = f"layers.{i}."
            spectrum = torch.fft.rfft(x, dim=0, norm="ortho")
            kept = (torch.arange(spectrum.shape[0]) < c // 2 + 1).unsqueeze(1)
            low = torch.fft.irfft(spectrum * kept, n=PLACES, dim=0, norm="ortho")
            filtered = low + w(name + "filter.sqrt_beta", D) ** 2 * (x - low)
            filtered = w.norm(name + "filter.norm", filtered + x)
            attended = attention(w, name + "attention", x, (1 - open_) * -10000, heads)
            x = feed_forward(w, name + "feed_forward", alpha * filtered + (1 - alpha) * attended)
        return x[-1]

    return last_items(w, state, w("items", N, D), rows)


def bert4rec(w, rows):
    def state(row):
        x = w.norm("norm", embed(w, row[:-1] + [N], N + 1))
        x = transformer(w, "layers", x, both(len(row)))[-1]
        return w.norm("head.norm", F.gelu(w.linear("head", x, D)))

    states = torch.stack([state(row) for row in rows])
    scores = states @ w("items", N + 1, D)[:N].T + w("bias", N)
    return F.cross_entropy(scores, torch.tensor([row[-1] for row in rows]))


def caser(w, rows, places=3, horizontal=2, vertical=2):
    def state(row):
        row = row[-places:]
        x = torch.cat([torch.zeros(places - len(row), D), w("items", N, D)[row]])[None, None]  # [1, 1, L, D]
        kernel = w("vertical.weight", vertical, places).reshape(vertical, 1, places, 1)
        found = [F.conv2d(x, kernel, w("vertical.bias", vertical)).flatten()]
        for h in range(1, places + 1):
            kernel = w(f"horizontal.{h}.weight", horizontal, h * D).reshape(horizontal, 1, h, D)
            out = F.relu(F.conv2d(x, kernel, w(f"horizontal.{h}.bias", horizontal)))[0, :, :, 0]
            found.append(F.max_pool1d(out, out.shape[1]).flatten())
        z = F.relu(w.linear("first", torch.cat(found), D))
        return F.relu(w.linear("second", z, D))

    return last_items(w, state, w("items", N, D), rows)


def hgn(w, rows):
    def state(row):
        x = w("items", N, D)[row]
        user = x.mean(0)
        chosen = x * torch.sigmoid(w.linear("feature.items", x, D) + w.linear("feature.user", user, D))
        of_user = (w("instance.user", PLACES, D) @ user)[-len(row) :]  # the last places
        gate = torch.sigmoid(chosen @ w("instance.items", 1, D)[0] + of_user)
        return user + (gate.unsqueeze(1) * chosen).sum(0) / gate.sum() + x.sum(0)

    return last_items(w, state, w("answers", N, D), rows)


def fdsa(w, rows):
    def state(row):
        vectors = w("attributes", A, D)
        known = [vectors[ATTRIBUTES[i]].mean(0) if ATTRIBUTES[i] else torch.zeros(D) for i in row]
        known = torch.stack(known) + w("positions", PLACES, D)[: len(row)]
        items = transformer(w, "item_layers", w.norm("item_norm", embed(w, row)), causal(len(row)))
        known = transformer(w, "attribute_layers", w.norm("attribute_norm", known), causal(len(row)))
        return w.norm("join.norm", w.linear("join", torch.cat([items, known], 1), D))

    return next_items(w, state, w("items", N, D), rows)


def s3rec_states(w, row, mask, n):
    return transformer(w, "layers", w.norm("norm", embed(w, row, n + 1)), mask(len(row)))


def s3rec(w, rows):
    state = lambda row: s3rec_states(w, row, causal, N)
    return next_items(w, state, w("items", N + 1, D)[:N], rows)


def attribute_loss(w, name, states, items, of_item):
    probability = torch.sigmoid(w.linear(name, states, D) @ w("attributes", A, D).T)
    has = torch.tensor([[1.0 if a in of_item[i] else 0.0 for a in range(A)] for i in items])
    return F.binary_cross_entropy(probability, has, reduction="sum")


def s3rec_shown(w, rows):
    """Nothing is hidden: the attributes of all items are told."""
    losses = [attribute_loss(w, "shown_attributes", s3rec_states(w, row, both, N), row, ATTRIBUTES) for row in rows]
    return 0.7 * sum(losses) / len(rows)


def s3rec_hidden(w, rows):
    """Two items and two rows of one of them: what is drawn is the other item, or the other row's segment."""
    mask = len(rows)
    total = 0
    for row, other in zip(rows, rows[::-1]):
        hidden = s3rec_states(w, [mask], both, 2)
        total = total + 1.1 * attribute_loss(w, "hidden_attributes", hidden, row, ATTRIBUTES)
        items = w("items", 3, D)
        pair = lambda x, right, drawn: -torch.log(torch.sigmoid(torch.sigmoid(x @ right) - torch.sigmoid(x @ drawn)))
        total = total + 0.3 * pair(w.linear("hidden_items", hidden[0], D), items[row[0]], items[other[0]])
        context = w.linear("segments", hidden[0], D)
        total = total + 0.5 * pair(context, s3rec_states(w, row, both, 2)[-1], s3rec_states(w, other, both, 2)[-1])
    return total / len(rows)


def hstu(w, rows, heads=2, head=3, temperature=0.3):
    inner = heads * head
    plain = lambda x: F.layer_norm(x, (x.shape[-1],), eps=1e-6)
    unit = lambda x: x / x.norm(dim=-1, keepdim=True)

    def state(row):
        t = len(row)
        x = w("items", N, D)[row] * math.sqrt(D) + w("positions", PLACES, D)[:t]
        for i in range(2):
            parts = F.silu(plain(x) @ w(f"layers.{i}.uvqk", 4 * inner, D).T).split(inner, 1)
            distance = w(f"layers.{i}.distance", 2 * PLACES - 1)
            bias = torch.stack([torch.stack([distance[k - q + PLACES - 1] for k in range(t)]) for q in range(t)])
            mixed = []
            for h in range(heads):
                u, v, q, k = (part[:, h * head : (h + 1) * head] for part in parts)
                mixed.append((F.silu(q @ k.T + bias) / PLACES).tril() @ v)
            x = x + w.linear(f"layers.{i}.out", parts[0] * plain(torch.cat(mixed, 1)), D)
        return unit(x)

    return next_items(w, state, unit(w("items", N, D)) / temperature, rows)


def rearec(method):
    tau, warmer, steps = 0.5, 2.0, 2

    def loss(w, rows):
        def reason(row):
            """The whole row once more for each step, without a cache."""
            inputs, found = w.norm("norm", embed(w, row)), []
            for k in range(steps + 1):
                found.append(transformer(w, "layers", inputs, causal(len(inputs)))[-1])
                if k < steps:
                    thought = w.norm("norm", found[-1] + w("reasoning", steps, D)[k])
                    inputs = torch.cat([inputs, thought[None]])
            return torch.stack(found)

        states = torch.stack([reason(row[:-1]) for row in rows])  # [B, K + 1, D]
        targets, items = torch.tensor([row[-1] for row in rows]), w("items", N, D)
        if method == "erl":
            log = torch.log_softmax(states @ items.T / tau, -1)
            apart = [
                F.kl_div(log[:, i].detach(), log[:, j].exp(), reduction="batchmean")
                for i in range(steps + 1) for j in range(steps + 1) if i != j
            ]
            answer = F.cross_entropy(states.mean(1) @ items.T / tau, targets)
            return answer - 0.2 * sum(apart) / len(apart)
        total = F.cross_entropy(states[:, -1] @ items.T / tau, targets)
        earlier = [F.cross_entropy(states[:, k] @ items.T / (tau * warmer ** (steps - k)), targets) for k in range(steps)]
        contrast = [
            F.cross_entropy(states[:, k] @ states[:, k].T / tau, torch.arange(len(rows)))
            for k in range(1, steps + 1)
        ]
        return total + 0.8 * sum(earlier) / steps + 0.6 * sum(contrast) / steps

    return loss


SMALL = {"hidden_size": D, "layers": 2, "heads": 2, "inner_size": INNER}
LONG = [[0, 2, 1, 3, 5, 4], [6, 1, 0, 2, 4, 3]]  # one item is missing in each
CASES = [
    ("sasrec", sasrec, {**SMALL, "max_history": PLACES}, ROWS, N),
    ("sasrec", sasrec_from_last, {**SMALL, "max_history": PLACES, "places": "last"}, ROWS, N),
    ("sasrec", sasrec_prefixes, {**SMALL, "max_history": PLACES, "prefixes": True}, ROWS, N),
    ("sasrec", sasrec_pairs("bce"), {**SMALL, "max_history": PLACES, "loss": "bce"}, LONG, N),
    ("sasrec", sasrec_pairs("bpr"), {**SMALL, "max_history": PLACES, "loss": "bpr"}, LONG, N),
    ("gru4rec", gru4rec, {"max_history": PLACES, "embedding_size": D, "hidden_size": 5, "layers": 2}, ROWS, N),
    ("bsarec", bsarec, {**SMALL, "max_history": PLACES, "alpha": 0.6, "c": 3}, ROWS, N),
    ("bert4rec", bert4rec, {**SMALL, "places": PLACES, "last_share": 1.0}, ROWS, N),
    ("caser", caser, {"max_history": 3, "embedding_size": D, "horizontal": 2, "vertical": 2}, ROWS, N),
    ("hgn", hgn, {"max_history": PLACES, "embedding_size": D}, ROWS, N),
    ("fdsa", fdsa, {**SMALL, "max_history": PLACES}, ROWS, N),
    ("s3rec", s3rec, {**SMALL, "max_history": PLACES}, ROWS, N),
    ("s3rec", s3rec_shown, {**SMALL, "max_history": PLACES, "hidden_share": 1e-12, "shown_attributes": 0.7,
                            "segments": 0.0}, ROWS, N),
    ("s3rec", s3rec_hidden, {**SMALL, "max_history": PLACES, "hidden_share": 1 - 1e-12, "hidden_items": 0.3,
                             "hidden_attributes": 1.1, "segments": 0.5}, [[0], [1]], 2),
    ("hstu", hstu, {"max_history": PLACES, "hidden_size": D, "layers": 2, "heads": 2, "head_size": 3,
                    "temperature": 0.3, "loss": "softmax"}, ROWS, N),
    ("rearec", rearec("erl"), {**SMALL, "max_history": PLACES, "temperature": 0.5, "divergence": 0.2}, ROWS, N),
    ("rearec", rearec("prl"), {**SMALL, "max_history": PLACES, "temperature": 0.5, "method": "prl", "warmer": 2.0,
                               "earlier": 0.8, "contrast": 0.6, "noise": 0.0, "warmup": 0}, ROWS, N),
]

cases = []
for model, twin, settings, rows, items in CASES:
    weights = Weights()
    loss = twin(weights, rows)
    loss.backward()
    gradients = {
        name: [] if weight.grad is None else [float(f"{g:.9e}") for g in weight.grad.flatten().tolist()]
        for name, weight in weights.items()
    }
    pretraining = twin in (s3rec_shown, s3rec_hidden)
    cases.append({"model": model, "settings": settings, "num_items": items, "rows": rows,
                  "pretraining": pretraining, "loss": loss.item(), "gradients": gradients})
print(json.dumps({"about": f"neural.py, python {sys.version.split()[0]}, torch {torch.__version__}",
                  "attributes": ATTRIBUTES, "num_attributes": A, "cases": cases}))
