"""A small file of reviews and the samples that plain dictionaries make of it. Writes prepare.json beside this file.

Run: python3 crates/data/tests/parity/prepare.py
"""

import collections
import json
import pathlib
import random
import sys

K, WINDOW = 3, 4


def reviews(rng):
    for _ in range(900):
        user, item = int(rng.lognormvariate(2.5, 1.2)) % 120, int(rng.lognormvariate(2.5, 1.0)) % 80
        yield {
            "overall": float(rng.randrange(1, 6)),
            "reviewerID": f"A{user * 7919}",
            "asin": f"B{item * 104729}",
            "reviewText": rng.choice(["plain", 'with "quotes" and \\', "über\u2028 \U0001f600", "{}[]"]),
            "unixReviewTime": 1_300_000_000 + 86_400 * rng.randrange(60),
        }


def core(rows):
    """Rounds until nobody has too few."""
    while True:
        users = collections.Counter(row["reviewerID"] for row in rows)
        items = collections.Counter(row["asin"] for row in rows)
        kept = [row for row in rows if users[row["reviewerID"]] >= K and items[row["asin"]] >= K]
        if len(kept) == len(rows):
            return rows
        rows = kept


def samples(rows):
    users, items, histories = {}, {}, collections.defaultdict(list)
    for row in rows:
        user = users.setdefault(row["reviewerID"], len(users))
        histories[user].append((row["unixReviewTime"], items.setdefault(row["asin"], len(items))))
    found = []
    for user, history in histories.items():
        history.sort(key=lambda event: event[0])
        for place in range(1, len(history)):
            before = [item for _, item in history[max(0, place - WINDOW) : place]]
            found.append((history[place][0], user, before, history[place][1]))
    found.sort(key=lambda sample: sample[0])
    return found


def csv(found):
    rows = (f"{user},{' '.join(map(str, before))},{item},{time}\n" for time, user, before, item in found)
    return "user_id,history_item_id,item_id,timestamp\n" + "".join(rows)


def main():
    rng = random.Random(11)
    rows = list(reviews(rng))
    kept = core(rows)
    found = samples(kept)
    a, b = len(found) * 8 // 10, len(found) * 9 // 10
    out = {
        "about": f"k = {K}, windows of {WINDOW}, 8:1:1 by time; Python {sys.version.split()[0]}",
        "reviews": "".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) + "\n" for row in rows),
        "kept": len(kept),
        "train": csv(found[:a]),
        "valid": csv(found[a:b]),
        "test": csv(found[b:]),
    }
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    main()
