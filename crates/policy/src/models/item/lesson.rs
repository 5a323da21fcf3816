//! Histories as choices after each item.

use sidereal_sid::NodeId;

use super::ItemPolicy;
use super::kernel::Choice;
use super::pack::Packed;
use crate::PolicyError;

/// Histories as positions, each with its next item.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) inputs: Packed,
    /// The next item of each position.
    pub(super) targets: Vec<u32>,
    /// Choices of each level.
    pub(super) choices: Vec<Vec<Choice>>,
}

impl ItemPolicy {
    /// The choices that `sequences` teach. Each has two items or more, of which the latest are
    /// read.
    pub(super) fn lesson<S: AsRef<[u32]>>(&self, sequences: &[S]) -> Result<Lesson, PolicyError> {
        let most = self.config.max_history + 1;
        let whole = Packed::new(sequences, most, self.num_items())?;
        let (mut inputs, mut lens) = (Vec::with_capacity(whole.items.len()), Vec::new());
        let mut targets = Vec::with_capacity(whole.items.len());
        let mut choices = vec![Vec::with_capacity(whole.items.len()); self.tree.depth()];
        let mut rest = whole.items.as_slice();
        for len in &whole.lens {
            let (sequence, after) = rest.split_at(*len);
            rest = after;
            if *len < 2 {
                return Err(PolicyError::Empty { what: "the next item of a sequence" });
            }
            for pair in sequence.windows(2) {
                let position = inputs.len();
                let mut node = NodeId(0);
                for (level, row) in self.tree.path(pair[1] as usize).iter().enumerate() {
                    let (children, target) = (self.tree.children(node), *row as usize);
                    // An only child is certain.
                    if children.len() > 1 {
                        choices[level].push(Choice { position, children, target });
                    }
                    node = NodeId(row + 1);
                }
                inputs.push(pair[0]);
                targets.push(pair[1]);
            }
            lens.push(len - 1);
        }
        Ok(Lesson { inputs: Packed { items: inputs, lens }, targets, choices })
    }
}
