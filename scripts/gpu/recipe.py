"""Prints a recipe of this folder with a pretrained model instead of random weights, if one is named, and an encoder.

    python3 scripts/gpu/recipe.py FILE.toml BASE ENCODER

Everything between the lines `# from scratch` and `# end` gives way to the model. BASE may be empty.
"""

import json
import re
import sys

path, base, encoder = sys.argv[1:]
text = open(path, encoding="utf-8").read()
if base:
    block = f"[pretrained]\nbase = {json.dumps(base)}\n"
    text, count = re.subn(r"# from scratch\n.*?# end\n", lambda _: block, text, flags=re.S)
    if count != 1:
        sys.exit(f"{path} has {count} blocks `# from scratch`; it must have one")
text, count = re.subn(r'^encoder = ".*"$', lambda _: f"encoder = {json.dumps(encoder)}", text, flags=re.M)
if count != 1:
    sys.exit(f"{path} names {count} encoders; it must name one")
print(text, end="")
