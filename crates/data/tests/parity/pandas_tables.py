"""Tables of items as pandas writes them and others write them, and what pandas reads from each.
Writes pandas_tables.json beside this file.

RecBole reads its files with `pandas.read_csv(delimiter="\\t", engine="python")`, which refuses text
after a closing quote; the C engine, pandas' default, takes it. Elsewhere both must say the same. A
missing value is null.

Run with pandas: python3 crates/data/tests/parity/pandas_tables.py
"""

import io
import json
import pathlib

import pandas

WRITTEN = {
    "quotes": ['7" tablet "Pro" case', "plain title", '"', '""', '"all of it"'],
    "tabs": ["a\tb tab", "c", "\tat the ends\t"],
    "line_ends": ["set of 2\nrows", "c", "three\n\nlines\n", 'a "b"\nc'],
    "windows_line_ends": ["set of 2\r\nrows", "c"],
    "all_together": ['a "b"\tc\nd, "e"', "i9\tTV 42", "f"],
    "commas_and_apostrophes": ["a, b", "it's", "'c'"],
    "missing": [None, "a", float("nan"), "NA of it", "Nan", "none"],
    "accents": ["cafe\u0301 \u00e9\u4e2d", '"\U0001f600"'],
}

# What other programs write: a quote is plain text unless it begins the field.
RAW = {
    "inner_quotes": ['7" tablet', 'a "b" c', '5\'7"'],
    "title_in_quotes": ['"Alien" by "X"', '"Alien"', '"Alien" (uncut)'],
    "words_for_none": ["nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "NA", "<NA>", "-nan", "#N/A"],
    "words_that_are_titles": ["Nan", "none", "Null", "nan bread", "N", "-", "Na"],
}


def rows(text, engines=("python", "c")):
    read = [pandas.read_csv(io.StringIO(text, newline=""), delimiter="\t", dtype=str, engine=e) for e in engines]
    titles = [[None if pandas.isna(title) else title for title in table["title:token"]] for table in read]
    assert titles[0] == titles[-1], titles
    return titles[0]


def main():
    tables = {}
    for name, titles in WRITTEN.items():
        keys = [f"i{i}" for i in range(len(titles))]
        price = ["1.5"] * len(titles)
        for place, columns in [("last", ["item_id:token", "title:token"]),
                               ("first", ["title:token", "item_id:token", "price:float"]),
                               ("middle", ["item_id:token", "title:token", "price:float"])]:
            table = pandas.DataFrame({"item_id:token": keys, "title:token": titles, "price:float": price})
            text = table[columns].to_csv(sep="\t", index=False)
            tables[f"{name}_{place}"] = {"text": text, "titles": rows(text)}
    for name, titles in RAW.items():
        lines = ["item_id:token\ttitle:token\tprice:float"] + [f"i{i}\t{t}\t1.5" for i, t in enumerate(titles)]
        text = "\n".join(lines) + "\n"
        tables[name] = {"text": text, "titles": rows(text, ("c",) if name == "title_in_quotes" else ("python", "c"))}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"pandas": pandas.__version__, "tables": tables}, indent=1) + "\n")


main()
