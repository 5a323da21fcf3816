//! The walk over a grid that looks for its best point.

/// Walks over a grid from one point, and returns the points that it tried with their values, in order and
/// none twice.
///
/// It tries all places of one axis with the others as they are, and keeps the best; then the next axis, in
/// their order, again and again until no axis alone improves. So no change along one axis improves the
/// result, but another corner of the grid may still be better. Of equal values the first stays.
///
/// `lengths`: places on each axis. `start`: the place on each axis to begin with. `value`: the value of a
/// point, higher is better; `None` ends the walk, for example because a budget is used up.
///
/// # Errors
/// Those of `value`.
///
/// ```
/// use sidereal_baselines::walk;
/// // The best of 5 × 4 points is at [3, 1].
/// let value = |at: &[usize]| -> Result<_, ()> { Ok(Some(-(at[0].abs_diff(3) as f64) - at[1].abs_diff(1) as f64)) };
/// let tried = walk(&[5, 4], vec![0, 0], value)?;
/// let best = tried.iter().max_by(|one, two| one.1.total_cmp(&two.1));
/// assert!(best == Some(&(vec![3, 1], 0.0)) && tried.len() < 20);
/// # Ok::<(), ()>(())
/// ```
pub fn walk<E>(
    lengths: &[usize],
    start: Vec<usize>,
    mut value: impl FnMut(&[usize]) -> Result<Option<f64>, E>,
) -> Result<Vec<(Vec<usize>, f64)>, E> {
    let mut tried: Vec<(Vec<usize>, f64)> = Vec::new();
    let mut of = |at: &[usize]| -> Result<Option<f64>, E> {
        if let Some((_, known)) = tried.iter().find(|(place, _)| place == at) {
            return Ok(Some(*known));
        }
        let found = value(at)?;
        tried.extend(found.map(|found| (at.to_vec(), found)));
        Ok(found)
    };
    let mut at = start;
    let Some(mut best) = of(&at)? else { return Ok(tried) };
    // An axis is not tried again until another one has changed.
    let mut unmoved = 0;
    'walk: for axis in (0..lengths.len()).cycle() {
        if unmoved == lengths.len() {
            break;
        }
        unmoved += 1;
        let from = at.clone();
        for place in 0..lengths[axis] {
            let mut next = from.clone();
            next[axis] = place;
            let Some(found) = of(&next)? else { break 'walk };
            if found > best {
                (at, best, unmoved) = (next, found, 1);
            }
        }
    }
    Ok(tried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_where_no_axis_improves_and_tries_nothing_twice() {
        // By hand: from [1, 0] axis 0 stays, axis 1 moves to 2, then axis 0 to 0 and axis 1 stays.
        let values = [[0, 1, 5], [2, 1, 4]];
        let mut asked = Vec::new();
        let tried = walk::<()>(&[2, 3], vec![1, 0], |at| {
            asked.push(at.to_vec());
            Ok(Some(f64::from(values[at[0]][at[1]])))
        });
        let tried = tried.unwrap();
        let order = [[1, 0], [0, 0], [1, 1], [1, 2], [0, 2], [0, 1]];
        assert_eq!(asked, order.map(|at| at.to_vec()));
        assert_eq!(tried.iter().map(|(at, _)| at.clone()).collect::<Vec<_>>(), asked);
    }

    #[test]
    fn a_walk_stops_where_the_budget_does() {
        let mut left = 2;
        let tried = walk::<()>(&[9], vec![0], |_| {
            left -= 1;
            Ok((left >= 0).then_some(0.0))
        });
        assert_eq!(tried.unwrap().len(), 2);
        assert_eq!(walk::<()>(&[], vec![], |_| Ok(Some(1.0))).unwrap().len(), 1);
        assert_eq!(walk(&[1], vec![0], |_| Err(7)), Err(7));
    }
}
