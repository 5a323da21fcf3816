"""Writes `blocks.gguf`: random blocks of every element type, and the numbers that the package `gguf` makes of them.

    python crates/gguf/tests/parity/blocks.py

For each type X the file holds the tensors `X`, random blocks, and `X.expected`, the F32 numbers that
`gguf.quants.dequantize` computes. It also holds a setting of each kind.
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind

HERE = pathlib.Path(__file__).parent
ROWS, ROW = 2, 512
# Where a block of a type has floats of 16 bits: random bytes there could be NaN or huge.
HALVES = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q4_K: [0, 2], Type.Q6_K: [208]}
TYPES = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q6_K]


def blocks(kind, rng):
    """Random bytes [ROWS, bytes of a row], floats from a normal distribution."""
    per_block, size = gguf.GGML_QUANT_SIZES[kind]
    if kind == Type.F32:
        return rng.normal(size=(ROWS, ROW)).astype(np.float32)
    if kind == Type.F16:
        return rng.normal(size=(ROWS, ROW)).astype(np.float16)
    if kind == Type.BF16:
        return gguf.quants.quantize(rng.normal(size=(ROWS, ROW)).astype(np.float32), kind)
    data = rng.integers(0, 256, size=(ROWS, ROW // per_block, size), dtype=np.uint8)
    for at in HALVES[kind]:
        scales = rng.normal(size=data.shape[:2]).astype(np.float16)
        data[..., at : at + 2] = scales[..., None].view(np.uint8)
    return data.reshape(ROWS, -1)


def main():
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "llama")
    for kind, value in [
        (Kind.UINT8, 200), (Kind.INT8, -100), (Kind.UINT16, 60_000), (Kind.INT16, -30_000),
        (Kind.UINT32, 4_000_000_000), (Kind.INT32, -2_000_000_000), (Kind.UINT64, 2**64 - 1),
        (Kind.INT64, -(2**63)), (Kind.FLOAT32, 0.5), (Kind.FLOAT64, 0.1), (Kind.BOOL, True),
        (Kind.STRING, "é ▁ 語"),
    ]:
        writer.add_key_value(f"kind.{kind.name}", value, kind)
    writer.add_array("list.texts", ["", "a b", "語"])
    writer.add_array("list.integers", [3, -4, 5])
    writer.add_custom_alignment(64)
    for kind in TYPES:
        data = blocks(kind, rng)
        raw = None if data.dtype != np.uint8 else kind
        writer.add_tensor(kind.name, data, raw_dtype=raw)
        numbers = gguf.quants.dequantize(data, kind).reshape(ROWS, ROW).astype(np.float32)
        writer.add_tensor(f"{kind.name}.expected", numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
