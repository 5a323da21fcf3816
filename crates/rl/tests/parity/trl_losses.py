"""Writes trl_losses.json: value and gradient of TRL's own GRPO and DPO losses, in float64.

The trainers' `_compute_loss` methods run unchanged on an object that has only the attributes which
they read; the model is replaced by one that returns given log-probs. Inputs come from a closed
formula, so the file can be made again anywhere:

    pip install trl && python crates/rl/tests/parity/trl_losses.py

The losses are minimised; the crate's GRPO objective is the negative.
"""

import itertools
import json
import math
import pathlib
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer

LENGTHS = [3, 5, 1, 4, 5, 2]
T = max(LENGTHS)


class Accelerator:
    """One process: gathering and reducing change nothing."""

    device = torch.device("cpu")
    num_processes = 1
    sync_gradients = True

    def gather(self, x):
        return x

    gather_for_metrics = gather

    def reduce(self, x, reduction="sum"):
        return x


def wave(rows, columns, frequency, phase, centre, width):
    """centre + width * sin(frequency * n + phase) for n = 1, 2, ..., row by row."""
    n = torch.arange(1, rows * columns + 1, dtype=torch.float64).reshape(rows, columns)
    return centre + width * torch.sin(frequency * n + phase)


def ragged(x):
    return [row[:n].tolist() for row, n in zip(x, LENGTHS)]


def grpo_case(loss_type, level, beta, low, high):
    rows = len(LENGTHS)
    old = wave(rows, T, 1.7, 0.3, -2.0, 1.5)
    new = (old + wave(rows, T, 2.9, 1.1, 0.0, 0.5)).requires_grad_()
    ref = old + wave(rows, T, 0.9, 2.0, 0.0, 0.4)
    advantages = wave(1, rows, 1.3, 0.2, 0.1, 1.2)[0]
    mask = torch.tensor([[int(t < n) for t in range(T)] for n in LENGTHS])
    args = SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1)
    trainer = SimpleNamespace(
        accelerator=Accelerator(), args=args, aux_loss_enabled=False, beta=beta,
        current_gradient_accumulation_steps=1, epsilon_high=high, epsilon_low=low,
        importance_sampling_level=level, loss_type=loss_type, max_completion_length=T,
        model=SimpleNamespace(training=True), off_policy_mask_threshold=None,
        top_entropy_quantile=1.0, use_vllm=False, _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *a, **k: (new, torch.zeros_like(new), None),
    )
    ids = torch.zeros(rows, T, dtype=torch.long)
    inputs = dict(
        prompt_ids=ids, prompt_mask=ids, completion_ids=ids, completion_mask=mask,
        advantages=advantages, old_per_token_logps=old, ref_per_token_logps=ref,
        num_items_in_batch=mask.sum(),
    )
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    return dict(
        kind="grpo", loss_type=loss_type, level=level, kl_coef=beta, clip_low=low, clip_high=high,
        constant=T, new=ragged(new.detach()), old=ragged(old), reference=ragged(ref),
        advantages=advantages.tolist(), loss=loss.item(), grad_new=ragged(new.grad),
    )


def dpo_case(beta, pairs):
    # One position carries each sequence's log-prob: TRL sums over positions.
    policy = wave(2 * pairs, 1, 1.1, 0.5, -9.0, 6.0).requires_grad_()
    reference = wave(2 * pairs, 1, 2.3, 1.9, -9.0, 6.0)
    outputs = SimpleNamespace(
        log_probs=policy, entropy=torch.zeros_like(policy), mean_logits=torch.zeros_like(policy),
        is_top1=torch.zeros_like(policy, dtype=torch.bool),
    )
    trainer = SimpleNamespace(
        accelerator=Accelerator(), aux_loss_enabled=False, beta=beta,
        f_divergence_type="reverse_kl", ld_alpha=None, loss_types=["sigmoid"], loss_weights=[1.0],
        model=SimpleNamespace(training=True), precompute_ref_logps=True, use_weighting=False,
        _metrics={"train": defaultdict(list)}, _total_train_tokens=0, _tp_size=1,
        label_smoothing=0.0, args=SimpleNamespace(),
    )
    ids = torch.zeros(2 * pairs, 2, dtype=torch.long)
    inputs = dict(
        input_ids=ids, attention_mask=torch.ones_like(ids), completion_mask=torch.ones_like(ids),
        ref_chosen_logps=reference[:pairs, 0], ref_rejected_logps=reference[pairs:, 0],
    )
    loss = DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    loss.backward()
    chosen, rejected = policy.detach()[:, 0].chunk(2)
    grad_chosen, grad_rejected = policy.grad[:, 0].chunk(2)
    return dict(
        kind="dpo", beta=beta, chosen=chosen.tolist(), rejected=rejected.tolist(),
        ref_chosen=reference[:pairs, 0].tolist(), ref_rejected=reference[pairs:, 0].tolist(),
        loss=loss.item(), grad_chosen=grad_chosen.tolist(), grad_rejected=grad_rejected.tolist(),
    )


def main():
    cases = [
        grpo_case(loss_type, level, beta, low, high)
        for (loss_type, level), beta, (low, high) in itertools.product(
            [("grpo", "token"), ("bnpo", "token"), ("dapo", "token"), ("dr_grpo", "token"),
             ("grpo", "sequence")],
            [0.0, 0.04],
            [(0.2, 0.2), (0.1, 0.28)],
        )
    ]
    cases += [dpo_case(beta, pairs) for beta, pairs in [(0.1, 1), (0.5, 4), (2.0, 7)]]
    assert all(math.isfinite(case["loss"]) for case in cases)
    path = pathlib.Path(__file__).with_suffix(".json")
    versions = {"trl": trl.__version__, "torch": torch.__version__}
    path.write_text(json.dumps({"versions": versions, "cases": cases}) + "\n")
    print(f"{len(cases)} cases with {versions}")


if __name__ == "__main__":
    main()
