"""Writes adapters of HF PEFT for the checkpoint `qwen3_tied`, and the logits with them.

    python crates/policy/tests/parity/lora.py            # the fixture, beside this file
    python crates/policy/tests/parity/lora.py --check D  # does PEFT open what
                                                         # `Decoder::save_adapters` wrote into D?

Needs `peft` besides what decoders.py needs. The second form compares with `expected.json` in D, as the
test `adapters_of_peft_give_its_logits` leaves it in `target/tmp/saved_lora`.
"""

import json
import platform

import peft
import torch
import transformers
from decoders import HERE, PROMPTS, compare, logits_of_last, main
from transformers import AutoModelForCausalLM


def base():
    return AutoModelForCausalLM.from_pretrained(HERE / "qwen3_tied", dtype=torch.float32).eval()


def write_all():
    torch.manual_seed(21)
    modules = ["q_proj", "v_proj", "o_proj", "down_proj"]
    config = peft.LoraConfig(r=3, lora_alpha=7, lora_dropout=0.1, target_modules=modules, task_type="CAUSAL_LM")
    model = peft.get_peft_model(base(), config).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0.0, 0.3)
    model.save_pretrained(HERE / "lora", safe_serialization=True)
    (HERE / "lora" / "README.md").unlink(missing_ok=True)
    path = HERE / "lora" / "adapter_config.json"
    settings = json.loads(path.read_text()) | {"base_model_name_or_path": "qwen3_tied"}
    path.write_text(json.dumps(settings, indent=2) + "\n")
    expected = {
        "made_by": f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, peft {peft.__version__}",
        "prompts": PROMPTS,
        "logits_of_last": logits_of_last(model, PROMPTS, 3),
    }
    (HERE / "lora" / "expected.json").write_text(json.dumps(expected) + "\n")


def check(directory):
    model = peft.PeftModel.from_pretrained(base(), str(directory)).eval()
    expected = json.loads((directory / "expected.json").read_text())
    compare(directory, expected["logits_of_last"], logits_of_last(model, expected["prompts"], 3))


if __name__ == "__main__":
    for saved in main(__doc__, write_all) or []:
        check(saved)
