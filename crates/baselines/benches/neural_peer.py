"""Neural recommenders beside RecBole: the same data and sizes, one side after the other, one thread each.

    cargo build --release -p sidereal-baselines --all-features --example neural_speed
    pip install --no-deps recbole==1.2.1 && pip install -r crates/baselines/benches/neural_peer.txt
    python crates/baselines/benches/neural_peer.py --inter shop.inter --item shop.item \
        [--models sasrec gru4rec bert4rec] [--rounds 2] [--loss softmax]

Each round runs every model on both sides, each in a process of its own. What is timed, in seconds of the
processor (all threads together) and on the clock of the wall:

- an epoch of training: RecBole's `Trainer._train_epoch`, our `Trainer` with one user in its validation. RecBole has cut
  the data into rows before; ours does it within this time, and draws the first weights.
  `--steps 64` times that many of RecBole's steps, which all have the same shape, and counts an epoch from them.
- ranking: all items for all test users, with HR@10 and NDCG@10. RecBole's `Trainer.evaluate` finds the ten best of
  each user (`torch.topk`); ours finds the place of the target among all items (`ranking`), and, timed apart, the ten
  best of each user (`lists`).

RecBole runs as it is published, with the sizes of SIZES in its configuration; nothing of it is changed.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BINARY = pathlib.Path("target/release/examples/neural_speed")
NAMES = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "bert4rec": "BERT4Rec"}
PLACES, BATCH = 50, 256
TRANSFORMER = {"hidden_size": 64, "inner_size": 256}
# For each model: what both sides are told, RecBole's name first where the names differ.
SIZES = {
    "sasrec": {**TRANSFORMER, "n_layers/layers": 2, "n_heads/heads": 2},
    "gru4rec": {"embedding_size": 64, "hidden_size": 128, "num_layers/layers": 1},
    "bert4rec": {**TRANSFORMER, "n_layers/layers": 2, "n_heads/heads": 2},
}
LOSSES = {"softmax": ("CE", None), "bpr": ("BPR", {"distribution": "uniform", "sample_num": 1})}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--inter", type=pathlib.Path, required=True, help="interactions in RecBole's layout")
    p.add_argument("--item", type=pathlib.Path, required=True, help="items in RecBole's layout")
    p.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    p.add_argument("--loss", choices=list(LOSSES), default="softmax", help="bert4rec has softmax alone")
    p.add_argument("--binary", type=pathlib.Path, default=BINARY)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--steps", type=int, help="steps of RecBole that are timed; all of an epoch without it")
    p.add_argument("--eval-batch", type=int, default=4096, help="users that RecBole ranks for at once (its default)")
    p.add_argument("--peer-of", choices=list(SIZES), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.peer_of:
        print(json.dumps(peer(args, args.peer_of)))
        return
    found = {}
    for _ in range(args.rounds):
        for model in args.models:
            found.setdefault(model, []).append((run_peer(args, model), run_ours(args, model)))
            print(model, *(json.dumps(side) for side in found[model][-1]), sep="\n  ", flush=True)
    for model, rounds in found.items():
        for part, other in [("epoch", "epoch"), ("ranking", "ranking"), ("ranking", "lists")]:
            print(f"{model} {other}:", end="")
            for clock in ["processor", "wall"]:
                peers, ours = ([side[name][clock] for side in sides] for sides, name in
                               zip(zip(*rounds), [part, other]))
                ratio = statistics.mean(peers) / statistics.mean(ours)
                print(f"  {clock} RecBole {show(peers)}, ours {show(ours)}, {ratio:.1f}x;", end="")
            print()


def show(seconds):
    return " and ".join(f"{s:.2f}" for s in seconds) + " s"


def settings(model, ours):
    return {key.split("/")[-1 if ours else 0]: value for key, value in SIZES[model].items()}


def run_ours(args, model):
    sizes = {**settings(model, True), "train": {"batch_size": BATCH}}
    sizes["places" if model == "bert4rec" else "max_history"] = PLACES
    if model != "bert4rec":
        sizes["loss"] = args.loss
    return run([args.binary, model, args.inter, args.item, "--settings", json.dumps(sizes)])


def run_peer(args, model):
    return run([sys.executable, *sys.argv, "--peer-of", model])


def run(command):
    threads = {f"{name}_NUM_THREADS": "1" for name in ["OMP", "MKL", "RAYON"]}
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **threads})
    return json.loads(done.stdout.splitlines()[-1])


def peer(args, model):
    """An epoch and a ranking of RecBole, in this process."""
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    torch.set_num_threads(1)
    loss, negatives = LOSSES[args.loss]
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "data")
        data.mkdir()
        (data / "data.inter").symlink_to(args.inter.resolve())
        config = Config(model=NAMES[model], dataset="data", config_dict={
            **settings(model, False),
            "data_path": folder,
            "checkpoint_dir": folder,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": PLACES,
            "loss_type": loss,
            "train_neg_sample_args": negatives,
            "train_batch_size": BATCH,
            "eval_batch_size": args.eval_batch,
            "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
            "metrics": ["Hit", "NDCG"],
            "valid_metric": "NDCG@10",
            "topk": [10],
            "use_gpu": False,
            "show_progress": False,
        })
        init_seed(config["seed"], True)
        train, _, test = data_preparation(config, create_dataset(config))
        network = get_model(NAMES[model])(config, train.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], NAMES[model])(config, network)
        trainer.eval_collector.data_collect(train)
        clock = (time.process_time(), time.perf_counter())
        steps = min(args.steps or len(train), len(train))
        total = trainer._train_epoch(itertools.islice(train, steps), 0)
        epoch = {name: seconds * len(train) / steps for name, seconds in spent(clock).items()}
        clock = (time.process_time(), time.perf_counter())
        metrics = trainer.evaluate(test, load_best_model=False)
        ranking = spent(clock)
    return {
        "model": model,
        "epoch": epoch,
        "loss": total / steps,
        "steps": len(train),
        "steps_timed": steps,
        "rows": len(train.dataset),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "users": len(test.dataset),
        "ranking": ranking,
        "metrics": dict(metrics),
    }


def spent(clock):
    return {"processor": time.process_time() - clock[0], "wall": time.perf_counter() - clock[1]}


if __name__ == "__main__":
    main()
