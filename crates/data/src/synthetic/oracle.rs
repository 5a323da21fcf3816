//! The exact distribution of the next product, and the best that a ranking can do.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use super::law::{Law, Product, Taste};
use super::products::{categories, every_product, number};
use super::words::{NUM_KINDS, NUM_PRODUCTS};
use crate::{DataError, Dataset, HeldOut};

/// Knows the law, not the customers' tastes.
#[derive(Debug, Clone)]
pub struct Oracle {
    law: Law,
    /// The product of each item, `[N]`.
    products: Vec<Product>,
}

/// The expected metrics of the best ranking, over the users of a set.
///
/// ```text
/// hit_rate = mean over users of  Σ p(r), r = 1..=k             p(r): r-th largest true probability
/// ndcg     = mean over users of  Σ p(r) / log2(r + 1)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BestPossible {
    /// Length of the ranking.
    pub k: NonZeroUsize,
    /// Number of users.
    pub num_users: usize,
    /// Expected share of users whose target is among the `k`, in `[0, 1]`.
    pub hit_rate: f64,
    /// Expected NDCG with one relevant item a user, in `[0, 1]`.
    pub ndcg: f64,
    /// Standard deviation of the hit rate that the best ranking realises on these users' actual
    /// targets, which are a draw: `sqrt(Σ q (1 - q)) / users` with `q` a user's summed `p`.
    pub hit_rate_deviation: f64,
}

impl BestPossible {
    pub(super) fn rounded(self) -> Self {
        let round = |value: f64| (value * 1e6).round() / 1e6;
        Self {
            hit_rate: round(self.hit_rate),
            ndcg: round(self.ndcg),
            hit_rate_deviation: round(self.hit_rate_deviation),
            ..self
        }
    }
}

impl Oracle {
    pub(super) fn new(law: Law, dataset: &Dataset) -> Result<Self, DataError> {
        let names: std::collections::HashMap<_, _> =
            every_product().map(|product| (categories(product), product)).collect();
        let mut there = [false; NUM_PRODUCTS];
        let mut products = Vec::with_capacity(NUM_PRODUCTS);
        for item in dataset.items() {
            let product = names.get(item.categories.as_slice()).copied();
            let fresh =
                product.filter(|product| !std::mem::replace(&mut there[number(*product)], true));
            let Some(product) = fresh else {
                let (key, categories) = (item.key.clone(), item.categories.join(" "));
                return Err(DataError::NotTheShop { key, categories });
            };
            products.push(product);
        }
        if products.len() != NUM_PRODUCTS {
            let (found, expected) = (products.len(), NUM_PRODUCTS);
            return Err(DataError::ShopSize { found, expected });
        }
        Ok(Self { law, products })
    }

    /// Number of items `N`.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.products.len()
    }

    /// True probability of each item to come next, `[N]`, given all that the customer bought,
    /// earliest first. Sums to one; zero for items of the history.
    ///
    /// ```text
    /// P(x | h) = Σ_z P(z | h) P(x | h, z)        z over the 100 tastes
    /// P(z | h) ∝ P(z) Π_t P(h[t] | h[..t], z)
    /// ```
    ///
    /// # Errors
    /// [`DataError::ItemRange`] for an unknown item; [`DataError::ImpossibleHistory`] for one
    /// bought twice.
    pub fn truth(&self, history: &[ItemId]) -> Result<Vec<f64>, DataError> {
        let history = self.products_of(history)?;
        let mut weights = self.law.priors();
        for (position, product) in history.iter().enumerate() {
            let before = &history[..position];
            self.each_taste(before, |index, taste, kinds, scale| {
                weights[index] *= scale * self.draw(taste, kinds, *product);
            });
            let total: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= total;
            }
        }
        let mut truth = vec![0.0; self.products.len()];
        self.each_taste(&history, |index, taste, kinds, scale| {
            for (probability, product) in truth.iter_mut().zip(&self.products) {
                *probability += weights[index] * scale * self.draw(taste, kinds, *product);
            }
        });
        for (probability, product) in truth.iter_mut().zip(&self.products) {
            if history.contains(product) {
                *probability = 0.0;
            }
        }
        Ok(truth)
    }

    /// The `k` most probable next items, best first, ties by identity: the best recommender.
    ///
    /// # Errors
    /// As [`truth`](Self::truth).
    pub fn rank(&self, history: &[ItemId], k: NonZeroUsize) -> Result<Vec<ItemId>, DataError> {
        let truth = self.truth(history)?;
        Ok(top(&truth, k.get()))
    }

    /// Hit rate and NDCG at `k` that no ranking can exceed in expectation.
    ///
    /// # Errors
    /// As [`truth`](Self::truth), for samples of another dataset.
    pub fn best_possible(
        &self,
        set: &impl HeldOut,
        k: NonZeroUsize,
    ) -> Result<BestPossible, DataError> {
        let (mut hits, mut gains, mut variance) = (0.0, 0.0, 0.0);
        for sample in set.samples() {
            let truth = self.truth(sample.seen)?;
            let mut hit = 0.0;
            for (place, item) in top(&truth, k.get()).into_iter().enumerate() {
                hit += truth[item.index()];
                gains += truth[item.index()] / (place as f64 + 2.0).log2();
            }
            hits += hit;
            variance += hit * (1.0 - hit).max(0.0);
        }
        let num_users = set.num_samples();
        let users = num_users as f64;
        Ok(BestPossible {
            k,
            num_users,
            hit_rate: hits / users,
            ndcg: gains / users,
            hit_rate_deviation: variance.sqrt() / users,
        })
    }

    /// Runs `call` for each taste in order, with its index, the taste, the probabilities of kinds,
    /// and the factor that compensates for the excluded products.
    fn each_taste(
        &self,
        history: &[Product],
        mut call: impl FnMut(usize, Taste, &[f64; NUM_KINDS], f64),
    ) {
        let mut kinds = [0.0; NUM_KINDS];
        let mut interest = None;
        for (index, taste) in Taste::all().enumerate() {
            if interest.replace(taste.interest) != Some(taste.interest) {
                kinds = self.law.kinds(taste.interest, history);
            }
            let excluded: f64 =
                history.iter().map(|product| self.draw(taste, &kinds, *product)).sum();
            call(index, taste, &kinds, 1.0 / (1.0 - excluded));
        }
    }

    /// Probability that one draw of kind and style gives this product.
    fn draw(&self, taste: Taste, kinds: &[f64; NUM_KINDS], product: Product) -> f64 {
        kinds[product.kind.index()] * self.law.style(taste.style, product.style)
    }

    fn products_of(&self, history: &[ItemId]) -> Result<Vec<Product>, DataError> {
        let mut products = Vec::with_capacity(history.len());
        for (position, item) in history.iter().enumerate() {
            let num_items = self.products.len();
            let product = self
                .products
                .get(item.index())
                .ok_or(DataError::ItemRange { item: *item, num_items })?;
            if products.contains(product) {
                return Err(DataError::ImpossibleHistory { position, item: *item });
            }
            products.push(*product);
        }
        Ok(products)
    }
}

/// The `k` largest, by falling value, then by identity.
fn top(values: &[f64], k: usize) -> Vec<ItemId> {
    let mut items: Vec<ItemId> = (0..).map(ItemId).take(values.len()).collect();
    items.sort_by(|a, b| values[b.index()].total_cmp(&values[a.index()]).then(a.cmp(b)));
    items.truncate(k);
    items
}
