#!/usr/bin/env bash
# Checks the programs on a GPU and measures them, in under ten minutes on one large GPU: parity with the CPU, beams, steps
# of supervised training and of reinforcement, and SINGER on a whole dataset at the paper's settings for a stated number
# of steps. Writes a Markdown table with the share of the peak of matrix products, which is measured in the same run.
#
# It needs built programs and python3 (standard library), but neither cargo nor a network. docs/benchmarks.md, "On a GPU".
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/gpu.sh --bin DIR --data DIR --out DIR [options]

  --bin DIR       holds sidereal, and examples/ with matrix_peak, speed_input, device_parity, beam_speed and step_speed,
                  as `target/release` does after
                  cargo build --release --workspace --all-features --bin sidereal --examples
  --data DIR      holds one .inter and one .item file
  --out DIR       is created; a folder with files in it is refused
  --device D      cuda (the default), cuda:N or cpu
  --encoder DIR   the sentence encoder (default: target/all-MiniLM-L6-v2)
  --base MODEL    a pretrained model for SINGER; without it a decoder of the shape of Qwen2.5-0.5B with random weights
  --peers DIR     PyTorch scripts to measure beside, see docs/benchmarks.md; they need torch and transformers
  --small         tiny sizes, to test this script: within a minute on a CPU
TEXT
}

fail() {
    echo "gpu.sh: $*" >&2
    exit 2
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin='' data='' out='' base='' peers='' device=cuda small=no
encoder=$repository/target/all-MiniLM-L6-v2
while [ $# -gt 0 ]; do
    case $1 in
        --small) small=yes ;;
        --help | -h) usage && exit 0 ;;
        --bin | --data | --out | --device | --encoder | --base | --peers)
            [ $# -ge 2 ] || fail "$1 needs a value"
            declare "${1#--}=$2"
            shift
            ;;
        *) usage >&2 && fail "unknown option $1" ;;
    esac
    shift
done
[ -n "$bin" ] && [ -n "$data" ] && [ -n "$out" ] || { usage >&2 && fail "--bin, --data and --out are needed"; }

for program in sidereal examples/{matrix_peak,speed_input,device_parity,beam_speed,step_speed}; do
    [ -x "$bin/$program" ] || fail "there is no program $bin/$program: build it and copy it there"
done
[ -d "$encoder" ] || fail "there is no sentence encoder in $encoder: name its folder by --encoder"
only() {
    local found
    found=$(find "$data" -maxdepth 1 -name "*.$1")
    [ -n "$found" ] && [ "$(wc -l <<<"$found")" = 1 ] || fail "$data must hold one .$1 file"
    echo "$found"
}
interactions=$(only inter) items=$(only item)
mkdir -p "$out"
[ -z "$(ls -A "$out")" ] || fail "$out is not empty: name another folder"

if [ "$small" = yes ]; then
    shape=nano peak_size=512 steps=3 users=4 beams=10 rows=8 prompts=2 kinds=(float32) recipe=small
else
    shape=half-billion peak_size=8192 steps=6 users=32 beams=50 rows=128 prompts=64 kinds=(float32 bfloat16) recipe=beauty
fi

# Runs a command and keeps its last line of output as a file of results, with the seconds that it took.
measure() {
    local name=$1 start=$SECONDS
    shift
    echo "gpu.sh: $name" >&2
    "$@" >"$out/$name.out" 2>"$out/$name.err" || { tail -n 5 "$out/$name.err" >&2 && return 1; }
    tail -n 1 "$out/$name.out" >"$out/$name.json"
    echo "$((SECONDS - start))" >"$out/$name.seconds"
}

describe() {
    date -u +%Y-%m-%d
    git -C "$repository" rev-parse --short HEAD 2>/dev/null || echo unknown
    if [ "${device%%:*}" = cuda ] && command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    else
        sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1
    fi
}
describe >"$out/machine.txt"

failed=no
measure peak "$bin/examples/matrix_peak" --device "$device" --size "$peak_size" || failed=yes
measure input "$bin/examples/speed_input" --shape "$shape" --out "$out/input" --steps "$steps" --users "$users" \
    --beams "$beams" --rows "$rows" --prompts "$prompts"
# Parity is measured on the small decoder, so that the CPU is quick.
measure parity-input "$bin/examples/speed_input" --shape nano --out "$out/parity" --steps 1 --users 1 --rows 1 --prompts 4
measure parity "$bin/examples/device_parity" --model "$out/parity/model" --input "$out/parity/rl.json" \
    --device "$device" || failed=yes
for kind in "${kinds[@]}"; do
    measure "beams-$kind" "$bin/examples/beam_speed" --model "$out/input/model" --input "$out/input/beam.json" \
        --beams "$beams" --batch "$users" --dtype "$kind" --device "$device" || failed=yes
    for step in sft rl; do
        measure "$step-$kind" "$bin/examples/step_speed" --model "$out/input/model" --input "$out/input/$step.json" \
            --micro-batch 16 --dtype "$kind" --device "$device" || failed=yes
    done
done
rm -rf "$out/input/model" "$out/parity"

# SINGER on all users of the data.
python3 "$repository/scripts/gpu/recipe.py" "$repository/scripts/gpu/$recipe.toml" "$base" "$encoder" >"$out/recipe.toml"
measure system "$bin/sidereal" train "$out/recipe.toml" --interactions "$interactions" --items "$items" \
    --device "$device" --out "$out/run" || failed=yes

if [ -n "$peers" ]; then
    for name in beam_peer.py step_peer.py; do
        cp "$repository"/crates/*/benches/"$name" "$out/"
    done
    model=$([ "$small" = yes ] && echo nano || echo qwen2.5-0.5b-shape)
    common=(--peers "$peers" --models "$out/models" --model "$model" --device "$device")
    measure peer-models python3 "$peers/make_models.py" "$out/models" --only "$model" || failed=yes
    measure peer-beams python3 "$out/beam_peer.py" "${common[@]}" --binary "$bin/examples/beam_speed" \
        --engine tree tree-sid --batch "$users" --beams "$beams" --repeats "$steps" || failed=yes
    measure peer-sft python3 "$out/step_peer.py" sft "${common[@]}" --binary "$bin/examples/step_speed" \
        --settings fused+group-by-length --repeats "$steps" || failed=yes
    measure peer-rl python3 "$out/step_peer.py" rl "${common[@]}" --binary "$bin/examples/step_speed" \
        --rollout tree --repeats "$steps" || failed=yes
    rm -rf "$out/models"
fi

python3 "$repository/scripts/gpu/table.py" "$out" "$device" "$shape" "$SECONDS" >"$out/table.md"
cat "$out/table.md"
if [ "$failed" = yes ]; then
    echo "gpu.sh: a part failed or differs from the CPU; the files .err in $out say why" >&2
    exit 1
fi
