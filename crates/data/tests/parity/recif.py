"""Writes `recif.parquet` in the layout of RecIF-Bench with pyarrow, and what it holds to `recif.json`.

pip install pyarrow; python recif.py
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(__file__).parent
users = list(range(100, 140))


def events(user, first, count):
    items = [10**15 + (user * 7 + first + 3 * i * i) % 60 for i in range(count)]
    likes = [(user + first + i) % 3 != 0 for i in range(count)]
    return items, [int(like) for like in likes]


rows = {name: [] for name in ["uid", "split", "hist_video_pid", "hist_video_like",
                              "target_video_pid", "target_video_like"]}
liked, train_samples, test_samples = {}, 0, 0
for user in users:
    split = int(user % 4 == 0)
    hist, hist_like = events(user, 0, 3 + user % 9)
    target, target_like = events(user, 50, user % 4 + 1)
    values = [user, split, hist, hist_like, target, target_like]
    for name, value in zip(rows, values):
        rows[name].append(value)
    kept = [i for i, like in zip(hist, hist_like) if like]
    then = [i for i, like in zip(target, target_like) if like]
    if kept + then:
        liked[str(user)] = kept + then
        if split:
            test_samples += len(kept + then) - max(len(kept), 1)
        else:
            train_samples += len(kept + then) - 1

integers = {"uid": pa.int64(), "split": pa.int32()}
lists = {"hist_video_pid": pa.list_(pa.int64()), "hist_video_like": pa.list_(pa.int8()),
         "target_video_pid": pa.large_list(pa.int64()), "target_video_like": pa.list_(pa.uint8())}
table = pa.table(rows, schema=pa.schema((integers | lists).items()))
pq.write_table(table, folder / "recif.parquet", compression="zstd", row_group_size=16)
expected = {"pyarrow": pa.__version__, "liked": liked, "train_samples": train_samples,
            "test_samples": test_samples}
(folder / "recif.json").write_text(json.dumps(expected) + "\n")
