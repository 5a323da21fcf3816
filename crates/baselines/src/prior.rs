//! A prior over the items: what recommenders say about a history, in a form that can be added to
//! the log-probabilities of a policy.

mod cases;
mod fit;
mod groups;
mod reach;
mod scale;
mod walk;
mod weights;

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

pub use self::cases::PriorCases;
pub use self::fit::{PriorFit, PriorSearch, PriorTrial};
pub use self::groups::GroupTrial;
pub use self::scale::ScaleTrial;
pub use self::weights::{HistoryWeights, PriorWeights, ScaleBy, TermWeight, UserScale};
use crate::history::check_scores;
use crate::{BaselineError, Recommender};

/// How a recommender's scores become a term of a [`Prior`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TermForm {
    /// The logarithm of the item's share of all scores, in nats: for counts and other scores that are
    /// never negative.
    ///
    /// ```text
    /// x(j) = ln( score(j) / Σ score  +  floor / N )
    /// ```
    /// An item that the recommender leaves out (`−∞`) has no share. If no item has a score, for
    /// example after an empty history, all items have `ln(floor / N)`.
    Log {
        /// Share that is spread evenly over all items. Above 0, finite; .05 is usual.
        floor: f32,
    },
    /// The score as it is: for similarities in `[-1, 1]` and the like.
    Linear,
}

/// A term's weight after a history, and its values `[N]` unless the weight is 0.
type Weighted = (f32, Option<Vec<f32>>);

/// A named recommender with its form.
struct Term<'a> {
    name: String,
    form: TermForm,
    recommender: Box<dyn Recommender + Send + 'a>,
}

/// The unnormalised log prior of every item after a history, as a weighted sum of named terms.
///
/// ```text
/// log prior(j | h) = scale(h) · Σ_t weight_t · x_t(j | h)
/// ```
/// The weights may depend on the length of the history ([`HistoryWeights`]).
/// A policy uses it by adding it to its own log-probabilities, or, while it writes Semantic IDs, the
/// [log mass](sidereal_sid::Trie::node_log_mass) of each prefix. Weights are chosen on validation
/// cases by [`PriorSearch`], never in training. A term of weight 0 is not asked, and is
/// [named](Self::unused) where it has weight 0 after every history.
///
/// As a [`Recommender`] it is the prior alone.
///
/// ```
/// use sidereal_baselines::{ItemTransition, Popularity, Prior, TermForm, Transition, TransitionConfig};
/// use sidereal_sid::ItemId;
///
/// let sequences = [[0, 1], [0, 1], [2, 0]].map(|s| s.map(ItemId));
/// let transitions =
///     ItemTransition::fit(&Transition::try_from(TransitionConfig::default())?, 3, &sequences)?;
/// let prior = Prior::new(3)
///     .with_term("transitions", transitions, TermForm::Log { floor: 0.05 }, 1.2)?
///     .with_term("popularity", Popularity::fit(3, &sequences)?, TermForm::Linear, 0.0)?;
/// let mut log_prior = [0.0; 3];
/// prior.log_prior(&[ItemId(0)], &mut log_prior)?;
/// assert!(log_prior[1] > log_prior[2] && log_prior[2] > log_prior[0]);
///
/// let why = &prior.explain(&[ItemId(0)], &[ItemId(1)])?[0];
/// assert_eq!((&*why.terms[0].name, why.terms[0].contribution), ("transitions", log_prior[1]));
/// assert_eq!(prior.unused().collect::<Vec<_>>(), ["popularity"]);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
pub struct Prior<'a> {
    num_items: usize,
    terms: Vec<Term<'a>>,
    weights: PriorWeights,
}

/// The parts of an item's log prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The item.
    pub item: ItemId,
    /// Its unnormalised log prior: the sum of the contributions.
    pub log_prior: f32,
    /// Every term, in the order of the prior, the unused ones included.
    pub terms: Vec<Contribution>,
}

/// What one term adds to an item's log prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contribution {
    /// Name of the term.
    pub name: String,
    /// Its weight after this history, the scale included; 0 for an unused term.
    pub weight: f32,
    /// The value of the term for the item, in its form; `None` for an unused term.
    pub value: Option<f32>,
    /// Weight times value.
    pub contribution: f32,
}

impl<'a> Prior<'a> {
    /// A prior over `num_items` items without terms: 0 for every item.
    #[must_use]
    pub fn new(num_items: usize) -> Self {
        Self { num_items, terms: Vec::new(), weights: PriorWeights::default() }
    }

    /// The prior with one more term.
    ///
    /// # Errors
    /// [`BaselineError::Term`] for a name that another term has, a recommender over another number of
    /// items, a floor that is not above 0, or a weight that is negative or not finite.
    pub fn with_term(
        mut self,
        name: &str,
        recommender: impl Recommender + Send + 'a,
        form: TermForm,
        weight: f32,
    ) -> Result<Self, BaselineError> {
        let refuse = |problem: String| Err(BaselineError::Term { term: name.to_owned(), problem });
        let (found, expected) = (recommender.num_items(), self.num_items);
        if found != expected {
            return refuse(format!("its recommender scores {found} items, needed {expected}"));
        }
        if self.terms.iter().any(|term| term.name == name) {
            return refuse("another term has this name: give it one of its own".to_owned());
        }
        if let TermForm::Log { floor } = form
            && !(floor > 0.0 && floor.is_finite())
        {
            return refuse(format!("its floor is {floor}, needed a finite number above 0"));
        }
        self.weights.terms.push(TermWeight { name: name.to_owned(), weight });
        self.terms.push(Term { name: name.to_owned(), form, recommender: Box::new(recommender) });
        self.weights.check()?;
        Ok(self)
    }

    /// The prior with these weights, such as fitted or stored ones.
    ///
    /// # Errors
    /// [`BaselineError::TermNames`] unless they name the terms of the prior in its order;
    /// [`BaselineError::Term`] for a weight that is negative or not finite, or a scale that is not one.
    pub fn with_weights(mut self, weights: PriorWeights) -> Result<Self, BaselineError> {
        let names = |weights: &PriorWeights| -> Vec<String> {
            weights.terms.iter().map(|term| term.name.clone()).collect()
        };
        let (found, expected) = (names(&weights), names(&self.weights));
        if found != expected {
            return Err(BaselineError::TermNames { found, expected });
        }
        weights.check()?;
        self.weights = weights;
        Ok(self)
    }

    /// Number of items `N`.
    #[must_use]
    pub const fn num_items(&self) -> usize {
        self.num_items
    }

    /// Names of the terms with their forms, in the order of the prior.
    pub fn terms(&self) -> impl Iterator<Item = (&str, TermForm)> {
        self.terms.iter().map(|term| (term.name.as_str(), term.form))
    }

    /// The weights in use.
    #[must_use]
    pub const fn weights(&self) -> &PriorWeights {
        &self.weights
    }

    /// Names of the terms that have weight 0 after every history.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        let terms = self.terms.iter().enumerate();
        terms.filter(|(at, _)| self.weights.largest(*at) <= 0.0).map(|(_, term)| &*term.name)
    }

    /// Overwrites `log_prior` with the unnormalised log prior of every item, in nats; all finite.
    ///
    /// # Shapes
    /// - `history`: earliest first, may be empty; `log_prior`: `[N]`
    ///
    /// # Errors
    /// Those of [`Recommender::score`]; [`BaselineError::TermScore`] for a score that the form of
    /// its term does not allow: NaN, an infinity, or a negative score under [`TermForm::Log`].
    pub fn log_prior(
        &self,
        history: &[ItemId],
        log_prior: &mut [f32],
    ) -> Result<(), BaselineError> {
        check_scores(log_prior, self.num_items)?;
        log_prior.fill(0.0);
        for (weight, values) in self.weighted(history)? {
            let Some(values) = values else { continue };
            log_prior.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
        Ok(())
    }

    /// The parts of the log priors of some items after a history.
    ///
    /// # Errors
    /// Those of [`log_prior`](Self::log_prior); [`BaselineError::Item`] for an unknown item.
    pub fn explain(
        &self,
        history: &[ItemId],
        items: &[ItemId],
    ) -> Result<Vec<Explanation>, BaselineError> {
        let num_items = self.num_items;
        if let Some(&item) = items.iter().find(|item| item.index() >= num_items) {
            return Err(BaselineError::Item { item, num_items });
        }
        let weighted = self.weighted(history)?;
        let explain = |item: &ItemId| {
            let terms = self.terms.iter().zip(&weighted).map(|(term, (weight, values))| {
                let value = values.as_ref().map(|values| values[item.index()]);
                Contribution {
                    name: term.name.clone(),
                    weight: *weight,
                    value,
                    contribution: value.map_or(0.0, |value| weight * value),
                }
            });
            let terms: Vec<Contribution> = terms.collect();
            let log_prior = terms.iter().map(|term| term.contribution).sum();
            Explanation { item: *item, log_prior, terms }
        };
        Ok(items.iter().map(explain).collect())
    }

    /// The values of each term for all items after a history, `[T][N]`, in its form and whatever its weight.
    ///
    /// # Errors
    /// Those of [`log_prior`](Self::log_prior).
    pub fn term_values(&self, history: &[ItemId]) -> Result<Vec<Vec<f32>>, BaselineError> {
        let values = |term: &Term<'_>| {
            let mut values = vec![0.0; self.num_items];
            term.values(history, &mut values)?;
            Ok(values)
        };
        self.terms.iter().map(values).collect()
    }

    /// Each term's weight after this history, with its values `[N]` unless the weight is 0.
    fn weighted(&self, history: &[ItemId]) -> Result<Vec<Weighted>, BaselineError> {
        let scaled_by = self.weights.scale.as_ref().map(|scale| &scale.by);
        let (mut asked, mut masses) = (Vec::new(), vec![0.0; self.terms.len()]);
        let weights = self.weights.of_length(history.len());
        for ((term, weight), mass) in self.terms.iter().zip(weights).zip(&mut masses) {
            let measures =
                matches!(scaled_by, Some(ScaleBy::Mass { term: of }) if *of == term.name);
            let mut values = None;
            if weight > 0.0 || measures {
                let mut of_term = vec![0.0; self.num_items];
                *mass = term.values(history, &mut of_term)?;
                values = Some(of_term);
            }
            asked.push((weight, values.filter(|_| weight > 0.0)));
        }
        let scale = self.weights.factor(history.len(), &masses);
        Ok(asked.into_iter().map(|(weight, values)| (scale * weight, values)).collect())
    }
}

impl Recommender for Prior<'_> {
    fn num_items(&self) -> usize {
        self.num_items
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.log_prior(history, scores)
    }
}

impl fmt::Debug for Prior<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<_> = self.terms().collect();
        f.debug_struct("Prior")
            .field("num_items", &self.num_items)
            .field("terms", &terms)
            .field("weights", &self.weights)
            .finish_non_exhaustive()
    }
}

impl Term<'_> {
    /// Overwrites `values` `[N]` with the value of the term for every item, and returns the mass:
    /// the sum of all scores, 0 for a [`TermForm::Linear`] term, which has none.
    #[allow(clippy::cast_possible_truncation, reason = "log-probabilities and masses are f32")]
    fn values(&self, history: &[ItemId], values: &mut [f32]) -> Result<f32, BaselineError> {
        self.recommender.score(history, values)?;
        let refuse = |item: usize, score: f32, needed: &'static str| {
            let item = ItemId(u32::try_from(item).unwrap_or(u32::MAX));
            Err(BaselineError::TermScore { term: self.name.clone(), item, score, needed })
        };
        let TermForm::Log { floor } = self.form else {
            return match values.iter().position(|score| !score.is_finite()) {
                Some(item) => refuse(item, values[item], "a finite number"),
                None => Ok(0.0),
            };
        };
        let mut total = 0.0;
        for (item, score) in values.iter_mut().enumerate() {
            if *score == f32::NEG_INFINITY {
                *score = 0.0;
            }
            if !(*score >= 0.0 && score.is_finite()) {
                return refuse(item, *score, "a finite number, 0 or more, or −∞");
            }
            total += f64::from(*score);
        }
        let floor = f64::from(floor) / values.len() as f64;
        let least = floor.ln() as f32;
        let per_score = if total > 0.0 { total.recip() } else { 0.0 };
        for value in values.iter_mut() {
            *value = if *value > 0.0 {
                (f64::from(*value) * per_score + floor).ln() as f32
            } else {
                least // most items; the logarithm is the costly part
            };
        }
        Ok(total as f32)
    }
}
