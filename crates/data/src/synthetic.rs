//! A shop whose customers follow a known law, so that a recommender can be compared with the truth.
//!
//! # The shop
//! 500 products: 10 departments (a ring of neighbours), in each a series of 5 kinds from the first
//! thing that a beginner buys to the last, each kind in 10 styles. A title says all three:
//! *Hartwell vintage brass-look gooseneck kettle*.
//!
//! # The law
//! A customer has a taste that nobody sees: a favourite style `f` and an interest `a`, a
//! department, drawn independently by popularity. The next product is drawn as kind, then style:
//!
//! ```text
//! kind (d, k) given the last product (d1, k1):
//!   series      the next kind of the series: (d1, k1+1); after its last, (d1+1, 0)
//!   resume      the same step from the latest product of a department other than d1
//!               (none so far: browse)
//!   complement  the same stage one department further: (d1+1, k1)
//!   browse      a department by interest, a kind by popularity     (always, for a first product)
//! style: f with probability style_focus, else by popularity
//! a product that the customer has is drawn again
//! ```
//! What comes next thus depends on the last product, on an earlier one, and on what the whole
//! history says of the taste. All of it depends on attributes only, so it can be learned from few
//! customers and holds for products that were rarely bought.
//!
//! # The truth
//! There are only 100 tastes, so [`Oracle::truth`] is exact: Bayes' rule over the tastes given the
//! history, then the law's mean over them. Nobody can rank better on average than by it;
//! [`Oracle::best_possible`] is the hit rate and NDCG of that ranking. As no product is bought
//! twice, both are the same whether or not seen items are removed from the ranking.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sidereal_data::synthetic::{Shop, ShopConfig};
//! use sidereal_data::{HeldOut, leave_one_out};
//!
//! let shop = Shop::new(ShopConfig::new(1).with_num_users(50))?;
//! let dataset = shop.generate()?;
//! let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
//! let oracle = shop.oracle(&dataset)?;
//! let truth = oracle.truth(split.test.sample(0).unwrap().seen)?;
//! assert!((truth.iter().sum::<f64>() - 1.0).abs() < 1e-9);
//! let best = oracle.best_possible(&split.test, NonZeroUsize::new(10).unwrap())?;
//! assert!(best.hit_rate > 0.3 && best.hit_rate < 0.9);
//! # Ok::<(), sidereal_data::DataError>(())
//! ```

mod config;
mod law;
mod oracle;
mod products;
mod shop;
mod words;

pub use config::ShopConfig;
pub use oracle::{BestPossible, Oracle};
pub use shop::{Shop, ShopRecord};
