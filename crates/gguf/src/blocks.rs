//! Numbers from stored blocks, as `ggml-quants.c` computes them.
//!
//! With `q` an integer of a block, `d` its scale and `m` its minimum:
//!
//! ```text
//! Q8_0  d·q          q in -128 … 127
//! Q4_0  d·(q - 8)    q in 0 … 15
//! Q4_1  d·q + m      q in 0 … 15
//! Q4_K  (d·s)·q - (m·t)    s, t in 0 … 63 for every 32 elements
//! Q6_K  (d·s)·(q - 32)     s in -128 … 127 for every 16 elements, q in 0 … 63
//! ```
//! The order of the operations matters: it gives the same bits as the reference.

use half::f16;

use crate::element::ElementType;

/// The numbers of whole blocks.
pub(crate) fn to_f32(kind: ElementType, bytes: &[u8]) -> Vec<f32> {
    let mut out = Vec::with_capacity(bytes.len() / kind.block_size() * kind.block_len());
    let block = match kind {
        ElementType::F32 => f32_block,
        ElementType::F16 => f16_block,
        ElementType::Bf16 => bf16_block,
        ElementType::Q8_0 => q8_0_block,
        ElementType::Q4_0 => q4_0_block,
        ElementType::Q4_1 => q4_1_block,
        ElementType::Q4K => q4_k_block,
        ElementType::Q6K => q6_k_block,
    };
    for bytes in bytes.chunks_exact(kind.block_size()) {
        block(bytes, &mut out);
    }
    out
}

/// The float of 16 bits at the byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn f32_block(block: &[u8], out: &mut Vec<f32>) {
    out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]]));
}

fn f16_block(block: &[u8], out: &mut Vec<f32>) {
    out.push(half(block, 0));
}

fn bf16_block(block: &[u8], out: &mut Vec<f32>) {
    out.push(f32::from_bits(u32::from(u16::from_le_bytes([block[0], block[1]])) << 16));
}

fn q8_0_block(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    out.extend(block[2..].iter().map(|q| f32::from(q.cast_signed()) * scale));
}

/// The lower four bits of all bytes, then the upper four.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().map(|byte| byte & 0x0f).chain(bytes.iter().map(|byte| byte >> 4))
}

fn q4_0_block(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    out.extend(nibbles(&block[2..]).map(|q| scale * (f32::from(q) - 8.0)));
}

fn q4_1_block(block: &[u8], out: &mut Vec<f32>) {
    let (scale, least) = (half(block, 0), half(block, 2));
    out.extend(nibbles(&block[4..]).map(|q| scale * f32::from(q) + least));
}

fn q4_k_block(block: &[u8], out: &mut Vec<f32>) {
    let (scale, least) = (half(block, 0), half(block, 2));
    let (sixes, integers) = block[4..].split_at(12);
    // Each 32 bytes are two groups of 32 elements.
    for (pair, bytes) in integers.chunks_exact(32).enumerate() {
        let groups = [2 * pair, 2 * pair + 1].map(|group| {
            let (s, t) = scale_and_minimum(sixes, group);
            (scale * f32::from(s), least * f32::from(t))
        });
        let groups = groups.into_iter().flat_map(|group| [group; 32]);
        out.extend(nibbles(bytes).zip(groups).map(|(q, (d, m))| d * f32::from(q) - m));
    }
}

/// Scale and minimum of one of eight groups. Four of each have six bits of a byte; the other four have four bits of a
/// byte, and the upper two bits of the first ones.
fn scale_and_minimum(sixes: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (sixes[group] & 0x3f, sixes[group + 4] & 0x3f);
    }
    let both = sixes[group + 4];
    let scale = (both & 0x0f) | ((sixes[group - 4] >> 2) & 0x30);
    (scale, (both >> 4) | ((sixes[group] >> 2) & 0x30))
}

fn q6_k_block(block: &[u8], out: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, _) = rest.split_at(16);
    let scale = half(rest, 16);
    // Eight groups of 32 elements, four in each half of the block.
    for group in 0..8 {
        let (half, quarter) = (group / 4, group % 4);
        let low = &low[64 * half + 32 * (quarter % 2)..][..32];
        let high = &high[32 * half..][..32];
        let (of_low, of_high) = (4 * (quarter / 2), 2 * quarter);
        out.extend(low.iter().zip(high).enumerate().map(|(at, (low, high))| {
            let q = ((low >> of_low) & 0x0f) | (((high >> of_high) & 3) << 4);
            let s = scales[2 * group + at / 16].cast_signed();
            (scale * f32::from(s)) * (f32::from(q) - 32.0)
        }));
    }
}
