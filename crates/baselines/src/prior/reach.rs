//! How far the weights of a prior are looked for.

use super::{Prior, PriorCases, PriorFit, PriorSearch, TermForm};
use crate::BaselineError;

/// How often the grids are extended at most, each time to twice their largest weight.
const EXTENSIONS: usize = 3;
/// The weights of an extension, as multiples of the largest weight before it.
const FURTHER: [f32; 3] = [1.25, 1.6, 2.0];

impl PriorSearch {
    /// Looks for the weights of a prior, and looks further where a weight is the largest that was tried.
    ///
    /// `feed` [pushes](PriorCases::push) all cases, and is called again with no cases for each extension
    /// of the grids: at most three times, each to twice the largest weight. A weight that is still the
    /// largest after that is named in [`PriorFit::at_edge`].
    ///
    /// # Errors
    /// Those of `feed` and of [`PriorCases::fit`].
    pub fn run<E: From<BaselineError>>(
        &self,
        prior: &Prior<'_>,
        mut feed: impl FnMut(&mut PriorCases<'_>) -> Result<(), E>,
    ) -> Result<PriorFit, E> {
        let (mut search, mut extensions) = (self.clone(), EXTENSIONS);
        loop {
            let mut cases = search.cases(prior);
            feed(&mut cases)?;
            let fit = cases.fit()?;
            drop(cases);
            if fit.at_edge.is_empty() || extensions == 0 {
                return Ok(fit);
            }
            extensions -= 1;
            search.extend(prior, &fit);
        }
    }

    /// Extends the grids of the terms whose weights are the largest that were tried.
    fn extend(&mut self, prior: &Prior<'_>, fit: &PriorFit) {
        let at_edge = |name: &str| fit.at_edge.iter().any(|term| term == name);
        let forms: Vec<TermForm> =
            prior.terms().filter(|(name, _)| at_edge(name)).map(|(_, form)| form).collect();
        let is_log = |form: &TermForm| matches!(form, TermForm::Log { .. });
        for (grid, concerned) in [
            (&mut self.log_weights, forms.iter().any(is_log)),
            (&mut self.linear_weights, !forms.iter().all(is_log)),
        ] {
            if let Some(last) = grid.last().copied().filter(|_| concerned) {
                grid.extend(FURTHER.map(|factor| factor * last));
            }
        }
    }
}
