"""Writes one small table of events and one of items as pandas, polars and pyarrow write them.

Run in this folder: python tabular.py
The test `tables_of_other_libraries_read_as_one` reads them all.
"""

import json
import sys
from pathlib import Path

import pandas
import polars
import pyarrow
import pyarrow.parquet

folder = Path(__file__).parent / "tabular"
times = ["2016-10-02 01:02:03.004", "2016-10-01", "2016-10-03"]
events = pandas.DataFrame(
    {
        "user_id": ["ann", "ann", "bob"],
        "item_id": [7, 8, 7],
        "timestamp": pandas.to_datetime(times, format="ISO8601"),
    }
)
items = pandas.DataFrame(
    {
        "item_id": [7, 8],
        "title": ['7" mug, red\nnew', "pan"],
        "brand": ["Acme", None],
        "categories": [["Food", "Tea"], ["Food"]],
        "description": ["x", None],
    }
)
lines = {"orient": "records", "lines": True}

# pandas: lists become texts in CSV, as Python prints them.
events.to_csv(folder / "pandas.csv", index=False)
items.to_csv(folder / "pandas_items.csv", index=False)
events.to_csv(folder / "pandas.tsv", index=False, sep="\t")
items.to_csv(folder / "pandas_items.tsv", index=False, sep="\t")
events.to_json(folder / "pandas.jsonl", date_format="epoch", **lines)
items.to_json(folder / "pandas_items.jsonl", **lines)
events.to_parquet(folder / "pandas.parquet")
items.to_parquet(folder / "pandas_items.parquet", compression="zstd")

# polars: large texts, times in microseconds.
events_, items_ = polars.from_pandas(events), polars.from_pandas(items)
events_.write_parquet(folder / "polars.parquet")
items_.write_parquet(folder / "polars_items.parquet")
events_.write_ndjson(folder / "polars.jsonl")
items_.write_ndjson(folder / "polars_items.jsonl")
events_.write_csv(folder / "polars.csv")
joined = polars.col("categories").list.join("|")
items_.with_columns(joined).write_csv(folder / "polars_items.csv")

# pyarrow: a dictionary, Spark's times of 96 bits, another width of numbers, pages of version 2.
table = pyarrow.Table.from_pandas(events)
table = table.set_column(0, "user_id", table["user_id"].dictionary_encode())
pyarrow.parquet.write_table(
    table, folder / "pyarrow.parquet", use_deprecated_int96_timestamps=True, version="1.0"
)
table = pyarrow.table(
    {
        "item_id": pyarrow.array([7, 8], pyarrow.uint16()),
        "title": pyarrow.array(list(items["title"]), pyarrow.large_string()),
        "brand": pyarrow.array(["Acme", None]),
        "categories": pyarrow.array(["Food|Tea", "Food"]),
        "description": pyarrow.array(["x", None]),
    }
)
pyarrow.parquet.write_table(
    table, folder / "pyarrow_items.parquet", data_page_version="2.0", compression="snappy"
)

versions = {module.__name__: module.__version__ for module in [pandas, polars, pyarrow]}
versions["python"] = sys.version.split()[0]
(folder / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
