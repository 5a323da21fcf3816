//! Rows of a batch in groups of similar length.

use tch::{Device, Tensor};

use super::NeuralError;

/// The numbers of the rows of each group, `[G]` lists.
///
/// On a processor no row is filled up to much more than one and a half times its length. On a GPU, where
/// many small products cost more than places that are filled up, all rows are one group.
pub(crate) fn groups(rows: &[&[u32]], device: Device) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if device != Device::Cpu {
        return vec![order];
    }
    order.sort_by_key(|at| rows[*at].len());
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut most = 0;
    for at in order {
        let len = rows[at].len();
        match groups.last_mut() {
            Some(group) if len <= most => group.push(at),
            _ => {
                most = len + len / 2 + 1;
                groups.push(vec![at]);
            }
        }
    }
    groups
}

/// Reads rows in groups of similar length. `read` makes `[G, …]` of `G` rows; the result is `[B, …]` in the
/// order of the rows.
pub(crate) fn by_length(
    rows: &[&[u32]],
    device: Device,
    mut read: impl FnMut(&[&[u32]]) -> Result<Tensor, NeuralError>,
) -> Result<Tensor, NeuralError> {
    let groups = groups(rows, device);
    if groups.len() == 1 && device != Device::Cpu {
        return read(rows);
    }
    let mut found = Vec::with_capacity(groups.len());
    for group in &groups {
        let group: Vec<&[u32]> = group.iter().map(|at| rows[*at]).collect();
        found.push(read(&group)?);
    }
    let mut places = vec![0_i64; rows.len()];
    for (place, at) in (0..).zip(groups.concat()) {
        places[at] = place;
    }
    let places = Tensor::f_from_slice(&places)?.f_to_device(device)?;
    Ok(Tensor::f_cat(&found, 0)?.f_index_select(0, &places)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_their_order_and_little_is_filled_up() {
        let line: Vec<u32> = (0..60).collect();
        let rows: Vec<&[u32]> = (0..80).map(|row| &line[..row * 37 % 50]).collect();
        for group in groups(&rows, Device::Cpu) {
            let lens = group.iter().map(|at| rows[*at].len());
            let (least, most) = (lens.clone().min().unwrap(), lens.max().unwrap());
            assert!(most <= least + least / 2 + 1);
        }
        let lens = |group: &[&[u32]]| {
            let lens: Vec<i64> =
                group.iter().map(|row| i64::try_from(row.len()).unwrap()).collect();
            Ok(Tensor::from_slice(&lens))
        };
        let found: Vec<i64> = by_length(&rows, Device::Cpu, lens).unwrap().try_into().unwrap();
        assert_eq!(
            found,
            rows.iter().map(|row| i64::try_from(row.len()).unwrap()).collect::<Vec<_>>()
        );
    }
}
