//! Sums over the children of each node of a level.

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

/// The nodes of a level as children of their parents.
///
/// Parents whose numbers of children round up to the same power of two are computed together, so
/// less than half of what is computed is padding.
#[derive(Debug)]
pub(super) struct Families {
    groups: Vec<Group>,
    /// For each node of the level, its parent among the groups' parents, `[m]`, i64.
    parents: Tensor,
}

/// Parents of similar families.
#[derive(Debug)]
struct Group {
    /// Rows of the children within the level, `[p, K]`, i64; the first child again after the last.
    children: Tensor,
    /// 0, or −∞ after the last child, `[p, K, 1]`.
    mask: Tensor,
}

impl Families {
    /// The families of a level, given the sizes of all families in the order of their children.
    pub(super) fn new(sizes: impl Iterator<Item = usize>, device: Device) -> Self {
        let mut groups: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        let mut next = 0;
        for size in sizes.filter(|size| *size > 0) {
            groups.entry(size.next_power_of_two()).or_default().push((next, size));
            next += size;
        }
        let mut parents = vec![0i64; next];
        let mut count = 0;
        let groups = groups.into_iter().map(|(width, families)| {
            let (mut children, mut mask) = (Vec::new(), Vec::new());
            for (start, size) in &families {
                let child = |k: usize| to_i64(if k < *size { start + k } else { *start });
                children.extend((0..width).map(child));
                mask.extend((0..width).map(|k| if k < *size { 0.0 } else { f32::NEG_INFINITY }));
                parents[*start..start + size].fill(count);
                count += 1;
            }
            let shape = [to_i64(families.len()), to_i64(width)];
            Group {
                children: Tensor::from_slice(&children).view(shape).to_device(device),
                mask: Tensor::from_slice(&mask).view([shape[0], shape[1], 1]).to_device(device),
            }
        });
        let groups = groups.collect();
        Self { groups, parents: indices(parents.into_iter(), device) }
    }

    /// `log Σ exp` over each node's siblings and itself, `[m, U]`, of scores `[m, U]`.
    pub(super) fn log_sums(&self, scores: &Tensor) -> Result<Tensor, PolicyError> {
        let of_group = |group: &Group| -> Result<Tensor, PolicyError> {
            let scores = Tensor::f_embedding(scores, &group.children, -1, false, false)?; // [p, K, U]
            let mask = group.mask.f_to_kind(scores.kind())?;
            Ok((scores + mask).f_logsumexp([1i64].as_slice(), false)?)
        };
        let sums = self.groups.iter().map(of_group).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_embedding(&Tensor::f_cat(&sums, 0)?, &self.parents, -1, false, false)?)
    }

    pub(super) fn share(&self) -> Self {
        let group = |group: &Group| Group {
            children: group.children.shallow_clone(),
            mask: group.mask.shallow_clone(),
        };
        let groups = self.groups.iter().map(group).collect();
        Self { groups, parents: self.parents.shallow_clone() }
    }
}
