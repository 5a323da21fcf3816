"""Literals of Python with the values that Python gives them. Writes literals.json beside this file.

Run: python3 crates/data/tests/parity/literals.py
"""

import ast
import json
import pathlib
import random
import sys

FIXED = [
    "{}", "[]", "()", "(1,)", "(1)", "(1, 'a')", "[1, 2,]", " {'a' : 1 , \"b\":[ None,True , False]} ",
    "u'a'", "'it\\'s'", "\"it's\"", "'\\x41\\101\\u00e9\\U0001f600\\n\\t\\\\'", "'\\0'", "'\\18'", "'a\\\nb'",
    "-1", "+1", "0", "1.5", "-2.5e-3", "1e5", ".5", "5.", "00.5", "0e0", "{'a': 1, 'a': 2}", "'\u00e9\u4e2d'",
    "{'asin': '0', 'categories': [['A & B', \"C's\"]], 'price': 9.99, 'related': {'also_bought': ['1', '2']}}",
    "9223372036854775807", "-9223372036854775808", "((1, 2), [3, (4,)])", "'\\a\\b\\f\\v\\r'", "' '", "''",
]


def value(rng, depth):
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice([True, False, None])
    if kind == 1:
        return rng.randrange(-(2**63), 2**63)
    if kind == 2:
        return rng.choice([1, -1]) * rng.random() * 10 ** rng.randrange(-30, 30)
    if kind in (3, 4):
        letters = "ab'\"\\\n\t\x00\x7f\x85\u00e9\u2028\U0001f600{}[](),: "
        return "".join(rng.choice(letters) for _ in range(rng.randrange(9)))
    if kind == 5:
        return {str(rng.randrange(99)): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    items = [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return items if kind == 6 else tuple(items)


def main():
    rng = random.Random(7)
    texts = FIXED + [repr(value(rng, 0)) for _ in range(300)] + [ascii(value(rng, 0)) for _ in range(100)]
    cases = [{"text": text, "value": ast.literal_eval(text)} for text in texts]
    out = {"about": "ast.literal_eval of Python " + sys.version.split()[0] + "; tuples are arrays", "cases": cases}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
