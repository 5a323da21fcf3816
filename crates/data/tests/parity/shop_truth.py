"""Writes shop_truth.json: the shop's true next-item probabilities, worked out a second time.

Reads the shipped dataset and follows the law as its documentation states it, with dense arrays
over (interest, style, product) instead of the library's factors.

    python3 crates/data/tests/parity/shop_truth.py      (from the root; needs numpy)
"""
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
SHOP = HERE / "../../../../datasets/shop"
DEPARTMENTS = """
coffee: hand-coffee-grinder pour-over-coffee-dripper gooseneck-kettle coffee-scale espresso-machine
baking: mixing-bowl rolling-pin cake-tin piping-bag-set stand-mixer
gardening: seed-starter-tray garden-trowel watering-can pruning-shears raised-planter
camping: sleeping-bag dome-tent camping-stove headlamp folding-camp-chair
photography: camera-strap camera-tripod camera-bag lens-filters photo-printer
painting: sketchbook watercolor-paints paint-brushes artist-easel canvas-panels
music: ukulele clip-on-tuner guitar-stand metronome practice-amplifier
yoga: yoga-mat yoga-block meditation-cushion foam-roller resistance-bands
running: running-shoes running-socks hydration-belt running-jacket sports-watch
cycling: bike-helmet bike-lights bike-pump bike-pannier cycling-computer
"""
STYLES = "minimalist rugged eco vintage luxury kids smart travel floral neon".split()
SERIES = {
    line.split(":")[0]: line.split(":")[1].split() for line in DEPARTMENTS.strip().splitlines()
}
NAMES = list(SERIES)
D, S, Y = len(NAMES), 5, len(STYLES)


def popularity(n, ratio):
    weights = ratio ** np.arange(n)
    return weights / weights.sum()


def kinds(config, history):
    """P(kind | interest, history), [interests, departments, steps]."""
    table = np.zeros((D, D, S))
    browse = 1.0

    def go(department, step, share):
        nonlocal browse
        table[:, department % D, step] += share
        browse -= share

    def onward(department, step, share):
        go(*((department, step + 1) if step + 1 < S else (department + 1, 0)), share)

    if history:
        department, step, _ = history[-1]
        onward(department, step, config["series"])
        go(department + 1, step, config["complement"])
        earlier = [event for event in history if event[0] != department]
        if earlier:
            onward(*earlier[-1][:2], config["resume"])
    ratio, focus = config["popularity_ratio"], config["interest_focus"]
    interests = focus * np.eye(D) + (1 - focus) * popularity(D, ratio)
    return table + browse * interests[:, :, None] * popularity(S, ratio)


def truth(config, history):
    """P(product | history), [departments, steps, styles]."""
    ratio, focus = config["popularity_ratio"], config["style_focus"]
    styles = focus * np.eye(Y) + (1 - focus) * popularity(Y, ratio)  # [favourite, style]
    posterior = np.outer(popularity(D, ratio), popularity(Y, ratio))  # [interest, favourite]
    for t in range(len(history) + 1):
        table = np.einsum("ads,fy->afdsy", kinds(config, history[:t]), styles)
        for event in history[:t]:
            table[:, :, *event] = 0
        table /= table.sum(axis=(2, 3, 4), keepdims=True)
        if t < len(history):
            posterior = posterior * table[:, :, *history[t]]
            posterior /= posterior.sum()
    return np.einsum("af,afdsy->dsy", posterior, table)


def rows(name):
    return [line.split("\t") for line in (SHOP / name).read_text().splitlines()[1:]]


def main():
    config = json.loads((SHOP / "shop.json").read_text())["config"]
    products, keys = {}, {}
    for key, _, categories in rows("shop.item"):
        department, kind, style = categories.split()
        product = NAMES.index(department), SERIES[department].index(kind), STYLES.index(style)
        products[key], keys[product] = product, key
    users = {}
    for user, item, _ in rows("shop.inter"):
        users.setdefault(user, []).append(item)
    cases = []
    for user in list(users)[:2000:100]:
        for seen in (users[user][:-1], users[user][:2], []):
            table = truth(config, [products[item] for item in seen])
            order = np.argsort(-table, axis=None, kind="stable")
            chosen = [tuple(map(int, np.unravel_index(i, table.shape))) for i in order[:20]]
            cases.append({
                "history": seen,
                "probabilities": [[keys[product], float(table[product])] for product in chosen],
            })
    about = f"numpy {np.__version__}; the 20 most probable next items of each history"
    text = json.dumps({"about": about, "cases": cases}, indent=1)
    (HERE / "shop_truth.json").write_text(text + "\n")


main()
