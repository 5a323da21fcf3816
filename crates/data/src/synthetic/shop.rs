//! The shop's products, customers and record.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use super::law::{Law, Product, Taste};
use super::products::{categories, every_product, kind, number};
use super::words::{DEPARTMENTS, NUM_PRODUCTS, NUM_STYLES, STYLES};
use super::{BestPossible, Oracle, ShopConfig};
use crate::{DataError, Dataset, Item, User};

/// A shop with checked settings.
#[derive(Debug, Clone)]
pub struct Shop {
    law: Law,
}

/// The record that comes with the files of a shop: enough to make them again and to know the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ShopRecord {
    /// Settings of the generator.
    pub config: ShopConfig,
    /// Number of products.
    pub num_items: usize,
    /// Number of events.
    pub num_interactions: usize,
    /// [`Dataset::hash`] of the generated dataset.
    pub hash: String,
    /// Best possible on the leave-one-out validation set, values rounded to six places.
    pub best_valid: BestPossible,
    /// Best possible on the leave-one-out test set, values rounded to six places.
    pub best_test: BestPossible,
}

impl ShopRecord {
    /// The record of a generated dataset.
    #[must_use]
    pub fn new(
        shop: &Shop,
        dataset: &Dataset,
        best_valid: BestPossible,
        best_test: BestPossible,
    ) -> Self {
        Self {
            config: shop.config().clone(),
            num_items: dataset.num_items(),
            num_interactions: dataset.num_interactions(),
            hash: dataset.hash(),
            best_valid: best_valid.rounded(),
            best_test: best_test.rounded(),
        }
    }
}

impl Shop {
    /// A shop with these settings.
    ///
    /// # Errors
    /// [`DataError::Config`] for a setting outside its range.
    pub fn new(config: ShopConfig) -> Result<Self, DataError> {
        config.check()?;
        Ok(Self { law: Law::new(config) })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ShopConfig {
        &self.law.config
    }

    /// The shop's products and customers: the same for the same settings, bit by bit, on every
    /// platform (no function of the mathematics library is called).
    ///
    /// Categories are department, kind and style. Keys are numbered in random order.
    ///
    /// # Errors
    /// [`DataError::TooMany`] for more users than there are identities.
    pub fn generate(&self) -> Result<Dataset, DataError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config().seed);
        let mut products: Vec<Product> = every_product().collect();
        products.shuffle(&mut rng);
        let items = products
            .iter()
            .enumerate()
            .map(|(index, product)| describe(*product, index, &mut rng))
            .collect();
        let mut ids = [ItemId(0); NUM_PRODUCTS];
        for (id, product) in (0..).map(ItemId).zip(&products) {
            ids[number(*product)] = id;
        }
        let users = (0..self.config().num_users)
            .map(|user| {
                let events = self.customer(&mut rng);
                User::new(
                    format!("customer-{user:04}"),
                    events.iter().map(|product| ids[number(*product)]).collect(),
                )
            })
            .collect();
        Dataset::new(items, users)
    }

    /// The truth about a dataset that [`generate`](Self::generate) made under these settings,
    /// whatever order its items have now.
    ///
    /// # Errors
    /// [`DataError::NotTheShop`] if its items are not the shop's products, each once.
    pub fn oracle(&self, dataset: &Dataset) -> Result<Oracle, DataError> {
        Oracle::new(self.law.clone(), dataset)
    }

    /// One customer's products, earliest first.
    fn customer(&self, rng: &mut ChaCha8Rng) -> Vec<Product> {
        let tastes: Vec<Taste> = Taste::all().collect();
        let taste = tastes[draw(&self.law.priors(), rng)];
        let style: Vec<f64> = (0..NUM_STYLES).map(|s| self.law.style(taste.style, s)).collect();
        let mut len = self.config().min_events;
        while len < self.config().max_events && rng.r#gen::<f64>() >= self.config().stop {
            len += 1;
        }
        let (mut events, mut has) = (Vec::with_capacity(len), HashSet::new());
        while events.len() < len {
            let kinds = self.law.kinds(taste.interest, &events);
            let product = loop {
                let product = Product { kind: kind(draw(&kinds, rng)), style: draw(&style, rng) };
                if has.insert(number(product)) {
                    break product;
                }
            };
            events.push(product);
        }
        events
    }
}

fn describe(product: Product, index: usize, rng: &mut ChaCha8Rng) -> Item {
    let kind = DEPARTMENTS[product.kind.department].1[product.kind.step];
    let (_, brand, mut words) = STYLES[product.style];
    words.shuffle(rng);
    let title = format!("{brand} {} {} {kind}", words[0], words[1]);
    Item::new(format!("item-{index:03}"), title).with_categories(categories(product).to_vec())
}

/// An index drawn by its probability; the probabilities sum to one up to rounding.
fn draw(probabilities: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut left: f64 = rng.r#gen();
    for (index, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return index;
        }
    }
    probabilities.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_products_have_five_hundred_titles() {
        let dataset = Shop::new(ShopConfig::new(5).with_num_users(9)).unwrap().generate().unwrap();
        let titles: HashSet<_> = dataset.items().iter().map(|item| &item.title).collect();
        assert_eq!((dataset.num_items(), titles.len()), (500, 500));
    }

    #[test]
    fn customers_never_buy_a_product_twice() {
        let dataset =
            Shop::new(ShopConfig::new(5).with_num_users(300)).unwrap().generate().unwrap();
        for user in dataset.users() {
            assert_eq!(user.events.iter().collect::<HashSet<_>>().len(), user.events.len());
            assert!((6..=25).contains(&user.events.len()));
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        let hash = |seed| {
            let config = ShopConfig::new(seed).with_num_users(20);
            Shop::new(config).unwrap().generate().unwrap().hash()
        };
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
