//! Checks that prompts fit the model, before anything is computed.

use sidereal_data::SampleId;

use crate::TrainError;

/// Accepts samples of some `(identity, tokens, limit)` that are all within their limits; the error
/// names the one that is furthest beyond its own, and how many are beyond theirs.
///
/// # Errors
/// [`TrainError::TooLong`].
pub fn check_lengths(
    job: &str,
    samples: impl Iterator<Item = (SampleId, usize, usize)>,
) -> Result<(), TrainError> {
    let too_long = samples.filter(|(_, found, limit)| found > limit);
    let mut count = 0;
    let worst = too_long.inspect(|_| count += 1).max_by_key(|(_, found, limit)| found - limit);
    match worst {
        None => Ok(()),
        Some((id, found, limit)) => {
            Err(TrainError::TooLong { job: job.to_owned(), id, found, limit, count })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidereal_data::ItemId;

    #[test]
    fn the_worst_of_the_samples_that_are_too_long_is_named() {
        let sample = |item, found| (SampleId::Item(ItemId(item)), found, 10);
        let check =
            |samples: &[(SampleId, usize, usize)]| check_lengths("sft", samples.iter().copied());
        assert!(check(&[sample(1, 10), sample(2, 3)]).is_ok());
        let error = check(&[sample(1, 11), sample(2, 30), sample(3, 10)]).unwrap_err();
        let named = matches!(
            error,
            TrainError::TooLong {
                id: SampleId::Item(ItemId(2)),
                found: 30,
                limit: 10,
                count: 2,
                ..
            }
        );
        assert!(named, "{error}");
    }
}
