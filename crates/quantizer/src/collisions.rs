//! Items that share all their codes, and what to do about them.

use std::collections::BTreeSet;

use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, Code, SemanticId, SidSpec};

use crate::codebooks::{check_codes, to_code};
use crate::rows::{Residuals, Table, check, check_width, distance};
use crate::{Codebooks, QuantizerError};

/// What becomes of items that share all their codes. Nothing ever shortens a Semantic ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Collisions {
    /// Each of the `m` items of a shared path receives a suffix code `0..m`; an item with a path
    /// of its own keeps `L` codes. TIGER and SINGER.
    Suffix,
    /// Every item receives one more code, 0 where its path is its own. GREAM. The slot is an
    /// ordinary last level of the spec, as large as the largest group.
    Slot,
    /// The item nearest to the shared path's last centroid keeps it; the others, by ascending
    /// distance, take the nearest last code that no item of the same prefix has. LC-Rec, without
    /// its optimal transport.
    Reassign,
    /// Items go on sharing a Semantic ID.
    Keep,
}

impl Collisions {
    /// The catalogue of `codes`, in which item `i` is row `i`.
    ///
    /// [`Suffix`](Self::Suffix), [`Slot`](Self::Slot) and [`Reassign`](Self::Reassign) give every
    /// item a Semantic ID of its own, suffixes and slots in the order of the items.
    ///
    /// # Shapes
    /// - `codes`: `[N, L]`, of all levels of `codebooks`; `rows`: `[N, D]`, what they quantise,
    ///   read by [`Reassign`](Self::Reassign) only
    ///
    /// # Errors
    /// [`QuantizerError::Levels`], [`QuantizerError::Code`] and [`QuantizerError::Rows`] if the
    /// three arguments do not belong together; [`QuantizerError::Crowded`] for more than 65536
    /// items on a path (suffix, slot) and [`QuantizerError::Full`] for a prefix with more items
    /// than last codes (re-assignment); [`QuantizerError::Catalog`] for no items.
    pub fn catalog(
        self,
        codebooks: &Codebooks,
        rows: ArrayView2<'_, f32>,
        codes: ArrayView2<'_, Code>,
    ) -> Result<Catalog, QuantizerError> {
        let sizes = codebooks.sizes();
        if codes.ncols() != sizes.len() {
            return Err(QuantizerError::Levels { found: codes.ncols(), expected: sizes.len() });
        }
        check_codes(codes, &sizes)?;
        let paths: Vec<SemanticId> =
            codes.axis_iter(Axis(0)).map(|row| row.iter().copied().collect()).collect();
        let (spec, sids) = match self {
            Self::Keep => (SidSpec::new(sizes, 0)?, paths),
            Self::Suffix => {
                let (sids, largest) = numbered(&paths, 2)?;
                (SidSpec::new(sizes, if largest > 1 { largest } else { 0 })?, sids)
            }
            Self::Slot => {
                let (sids, largest) = numbered(&paths, 1)?;
                (SidSpec::new([sizes, vec![largest.max(1)]].concat(), 0)?, sids)
            }
            Self::Reassign => {
                if rows.nrows() != codes.nrows() {
                    let (found, expected) = (rows.nrows(), codes.nrows());
                    return Err(QuantizerError::Rows { found, expected });
                }
                check_width(&rows, codebooks)?;
                check(&rows)?;
                (SidSpec::new(sizes, 0)?, reassigned(codebooks, rows, paths)?)
            }
        };
        Ok(Catalog::new(spec, sids)?)
    }
}

/// Items grouped by key: groups in the order of the keys, items ascending within a group.
fn groups<'a>(
    paths: &'a [SemanticId],
    key: impl Fn(&'a SemanticId) -> &'a [Code],
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by_key(|item| key(&paths[*item]));
    order.chunk_by(|a, b| key(&paths[*a]) == key(&paths[*b])).map(<[usize]>::to_vec).collect()
}

/// Appends its number to each item of a group of at least `from`; also the largest group's size.
fn numbered(paths: &[SemanticId], from: usize) -> Result<(Vec<SemanticId>, usize), QuantizerError> {
    let mut sids = paths.to_vec();
    let mut largest = 0;
    for group in groups(paths, SemanticId::codes) {
        largest = largest.max(group.len());
        if group.len() < from {
            continue;
        }
        for (number, item) in group.iter().enumerate() {
            let number = Code::try_from(number).map_err(|_| QuantizerError::Crowded {
                sid: paths[*item].to_string(),
                found: group.len(),
                most: usize::from(Code::MAX) + 1,
            })?;
            sids[*item] = paths[*item].iter().copied().chain([number]).collect();
        }
    }
    Ok((sids, largest))
}

fn reassigned(
    codebooks: &Codebooks,
    rows: ArrayView2<'_, f32>,
    mut paths: Vec<SemanticId>,
) -> Result<Vec<SemanticId>, QuantizerError> {
    let Some((last, earlier)) = codebooks.tables().split_last() else { return Ok(paths) };
    let before: Vec<(Table, Vec<Code>)> = earlier
        .iter()
        .enumerate()
        .map(|(level, table)| (table.clone(), paths.iter().map(|path| path[level]).collect()))
        .collect();
    let residuals = Residuals { matrix: rows.view(), before: &before };
    let originals = paths.clone();
    let mut residual = Vec::new();
    for family in groups(&originals, |path| &path[..earlier.len()]) {
        if family.len() > last.len() {
            return Err(QuantizerError::Full {
                prefix: SemanticId::new(&originals[family[0]][..earlier.len()]).to_string(),
                found: family.len(),
                size: last.len(),
            });
        }
        let own = |item: usize| originals[item][earlier.len()];
        let mut by_distance: Vec<(f64, usize)> = Vec::with_capacity(family.len());
        for item in &family {
            residuals.gather(&[*item], &mut residual);
            by_distance.push((distance(&residual, last.centroid(own(*item))), *item));
        }
        by_distance.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut taken: BTreeSet<Code> = family.iter().map(|item| own(*item)).collect();
        let mut kept = BTreeSet::new();
        for (_, item) in by_distance {
            if kept.insert(own(item)) {
                continue;
            }
            residuals.gather(&[item], &mut residual);
            let nearest_free = (0u32..)
                .zip(last.values.chunks_exact(last.width))
                .map(|(code, centroid)| (to_code(code), centroid))
                .filter(|(code, _)| !taken.contains(code))
                .map(|(code, centroid)| (distance(&residual, centroid), code))
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let Some((_, code)) = nearest_free else { continue };
            taken.insert(code);
            paths[item] = originals[item][..earlier.len()].iter().copied().chain([code]).collect();
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn codebooks() -> Codebooks {
        Codebooks::new(vec![array![[0.0], [100.0]], array![[0.0], [1.0], [3.0]]]).unwrap()
    }

    fn rows() -> Array2<f32> {
        array![[0.2], [0.1], [100.9], [0.3]]
    }

    fn sids(collisions: Collisions) -> Vec<SemanticId> {
        let codes = codebooks().encode(rows().view()).unwrap();
        assert_eq!(codes, array![[0, 0], [0, 0], [1, 1], [0, 0]]);
        let catalog = collisions.catalog(&codebooks(), rows().view(), codes.view()).unwrap();
        catalog.sids().to_vec()
    }

    #[test]
    fn a_suffix_goes_to_shared_paths_only() {
        let expected: [SemanticId; 4] =
            [[0, 0, 0].into(), [0, 0, 1].into(), [1, 1].into(), [0, 0, 2].into()];
        assert_eq!(sids(Collisions::Suffix), expected);
    }

    #[test]
    fn a_slot_goes_to_everyone() {
        let expected: [SemanticId; 4] =
            [[0, 0, 0].into(), [0, 0, 1].into(), [1, 1, 0].into(), [0, 0, 2].into()];
        assert_eq!(sids(Collisions::Slot), expected);
    }

    #[test]
    fn reassignment_takes_the_next_nearest_free_code() {
        // Item 1 is nearest to 0.0 and keeps code 0; item 0 (0.2) is next and takes 1.0; item 3
        // is left with 3.0.
        let expected: [SemanticId; 4] =
            [[0, 1].into(), [0, 0].into(), [1, 1].into(), [0, 2].into()];
        assert_eq!(sids(Collisions::Reassign), expected);
    }

    #[test]
    fn kept_collisions_share_a_semantic_id() {
        let expected: [SemanticId; 4] =
            [[0, 0].into(), [0, 0].into(), [1, 1].into(), [0, 0].into()];
        assert_eq!(sids(Collisions::Keep), expected);
    }

    #[test]
    fn a_prefix_with_more_items_than_codes_cannot_be_reassigned() {
        let rows = Array2::zeros((4, 1));
        let codes = Array2::zeros((4, 2));
        let error =
            Collisions::Reassign.catalog(&codebooks(), rows.view(), codes.view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4 items begin with <a_0>, but the last level has only 3 codes: give it more"
        );
    }

    #[test]
    fn rows_and_codes_of_different_items_are_refused() {
        let codes = Array2::zeros((3, 2));
        assert!(matches!(
            Collisions::Reassign.catalog(&codebooks(), rows().view(), codes.view()),
            Err(QuantizerError::Rows { found: 4, expected: 3 })
        ));
    }
}
