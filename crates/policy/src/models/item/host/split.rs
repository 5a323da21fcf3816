//! How the histories of a step are cut into blocks, and the blocks dealt to groups.

use std::ops::Range;

use super::super::kernel::Choice;
use super::block::Block;

/// Positions from which on a block is full: products of this many rows are near their highest speed, and what a
/// block computes fits a core's second-level cache.
const FULL: usize = 128;
/// Most groups. Each has gradients of its own, which costs a pass over them.
const GROUPS: usize = 4;

/// Blocks of histories of these lengths, given the choices of each level in the order of positions.
pub(super) fn blocks<'a>(lens: &'a [usize], choices: &'a [Vec<Choice>]) -> Vec<Block<'a>> {
    let mut rest: Vec<&[Choice]> = choices.iter().map(Vec::as_slice).collect();
    let (mut blocks, mut start, mut first) = (Vec::new(), 0, 0);
    while start < lens.len() {
        let (mut end, mut len) = (start, 0);
        while end < lens.len() && len < FULL {
            len += lens[end];
            end += 1;
        }
        let of_level = |rest: &mut &'a [Choice]| {
            let own = rest.partition_point(|choice| choice.position < first + len);
            let (own, after) = rest.split_at(own);
            *rest = after;
            own
        };
        let choices = rest.iter_mut().map(of_level).collect();
        blocks.push(Block { lens: &lens[start..end], first, choices });
        (start, first) = (end, first + len);
    }
    blocks
}

/// Blocks of each group, as even as can be.
pub(super) fn groups(blocks: usize) -> impl Iterator<Item = Range<usize>> {
    let count = blocks.min(GROUPS);
    (0..count).map(move |at| at * blocks / count..(at + 1) * blocks / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_and_choice_is_in_one_block() {
        for count in [1, 2, 5, 40] {
            let lens: Vec<usize> = (0..count).map(|at| 1 + at * 29 % 50).collect();
            let positions: usize = lens.iter().sum();
            let choice = |position| Choice { position, children: 0..2, target: 1 };
            let choices: Vec<Vec<Choice>> =
                [1, 3, 1000].map(|step| (0..positions).step_by(step).map(choice).collect()).into();
            let blocks = blocks(&lens, &choices);
            let mut next = 0;
            for block in &blocks {
                assert_eq!(block.first, next);
                next += block.len();
                let own = block.choices.iter().copied().flatten();
                assert!(own.clone().all(|own| (block.first..next).contains(&own.position)));
            }
            assert_eq!(next, positions);
            let met: usize =
                blocks.iter().flat_map(|block| &block.choices).map(|own| own.len()).sum();
            assert_eq!(met, choices.iter().map(Vec::len).sum::<usize>());
            assert!(blocks.iter().rev().skip(1).all(|block| block.len() >= FULL));
            let dealt: Vec<usize> = groups(blocks.len()).flatten().collect();
            assert_eq!(dealt, (0..blocks.len()).collect::<Vec<_>>());
            assert!(groups(blocks.len()).all(|group| !group.is_empty()));
        }
    }
}
