"""Item transitions by their equation, in plain Python: scores of a few users, and the expected hit
rate and NDCG over all of them. Writes transition.json beside this file.

Run: python3 crates/baselines/tests/parity/transition.py
"""

import json
import math
import pathlib
from fractions import Fraction

NUM_ITEMS, NUM_USERS, K = 60, 200, 10
WINDOW, BACKWARD, DECAY, DAMPING = 8, Fraction(1, 2), Fraction(3, 5), 0.35


def sequences():
    """User u has 5 + u mod 9 events; each event is a step of 0 to 6 from the one before it."""
    state, users = 1, []

    def draw(n):
        nonlocal state
        state = (state * 1103515245 + 12345) % 2**31
        return (state >> 16) % n

    for user in range(NUM_USERS):
        at, events = draw(NUM_ITEMS), []
        for _ in range(5 + user % 9):
            events.append(at)
            at = (at + draw(7)) % NUM_ITEMS
        users.append(events)
    return users


def main():
    users = sequences()
    train = [events[:-2] for events in users]
    popularity = [0] * NUM_ITEMS
    weight = [[Fraction(0)] * NUM_ITEMS for _ in range(NUM_ITEMS)]
    for events in train:
        for p, i in enumerate(events):
            popularity[i] += 1
            for q in range(p + 1, min(len(events), p + WINDOW + 1)):
                j = events[q]
                weight[i][j] += Fraction(1, q - p)
                weight[j][i] += BACKWARD * Fraction(1, q - p)
    damp = [(count + 1) ** -DAMPING for count in popularity]

    def score(history):
        total = [0.0] * NUM_ITEMS
        for age, i in enumerate(reversed(history)):
            for j in range(NUM_ITEMS):
                total[j] += float(DECAY**age * weight[i][j]) * damp[i] * damp[j]
        return total

    out = {"scores": [], "metrics": {}}
    for user in range(0, NUM_USERS, 40):
        out["scores"].append({"user": user, "scores": [round(s, 9) for s in score(users[user][:-1])]})
    for name in ("kept", "removed"):
        hits = gain = 0.0
        for events in users:
            history, target = events[:-1], events[-1]
            scores = score(history)
            left = [j for j in range(NUM_ITEMS) if name == "kept" or j not in history]
            if target not in left:
                continue
            own = scores[target]
            same = [j for j in left if math.isclose(scores[j], own, rel_tol=1e-9, abs_tol=1e-12)]
            # Near ties would be another matter in single precision.
            assert all(j in same or abs(scores[j] - own) > 1e-6 * max(own, scores[j]) for j in left)
            better = sum(scores[j] > own and j not in same for j in left)
            ranks = [r for r in range(better + 1, better + len(same) + 1) if r <= K]
            hits += len(ranks) / len(same)
            gain += sum(1 / math.log2(r + 1) for r in ranks) / len(same)
        out["metrics"][name] = [hits / NUM_USERS, gain / NUM_USERS]
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(out) + "\n")


main()
