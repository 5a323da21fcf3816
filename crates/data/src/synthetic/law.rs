//! The law that customers follow, given their taste.

use super::ShopConfig;
use super::words::{NUM_DEPARTMENTS, NUM_KINDS, NUM_STEPS, NUM_STYLES};

/// A place in the shop: one kind of a department's series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) department: usize,
    pub(super) step: usize,
}

impl Kind {
    pub(super) const fn index(self) -> usize {
        self.department * NUM_STEPS + self.step
    }

    /// The next kind of the series; after the last, the first of the neighbour's.
    const fn successor(self) -> Self {
        if self.step + 1 < NUM_STEPS {
            Self { department: self.department, step: self.step + 1 }
        } else {
            Self { department: (self.department + 1) % NUM_DEPARTMENTS, step: 0 }
        }
    }

    /// The same stage in the neighbouring department.
    const fn complement(self) -> Self {
        Self { department: (self.department + 1) % NUM_DEPARTMENTS, step: self.step }
    }
}

/// A product: a kind in a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) kind: Kind,
    pub(super) style: usize,
}

/// What a customer likes; it is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taste {
    pub(super) interest: usize,
    pub(super) style: usize,
}

impl Taste {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..NUM_DEPARTMENTS)
            .flat_map(|interest| (0..NUM_STYLES).map(move |style| Self { interest, style }))
    }
}

/// The law with its popularities computed.
#[derive(Debug, Clone)]
pub(super) struct Law {
    pub(super) config: ShopConfig,
    departments: Vec<f64>,
    steps: Vec<f64>,
    pub(super) styles: Vec<f64>,
}

impl Law {
    pub(super) fn new(config: ShopConfig) -> Self {
        let ratio = config.popularity_ratio;
        Self {
            departments: popularity(NUM_DEPARTMENTS, ratio),
            steps: popularity(NUM_STEPS, ratio),
            styles: popularity(NUM_STYLES, ratio),
            config,
        }
    }

    /// Probability of a taste before anything is seen.
    pub(super) fn prior(&self, taste: Taste) -> f64 {
        self.departments[taste.interest] * self.styles[taste.style]
    }

    /// Probability of each kind, `[kinds]`, before products that the customer has are excluded.
    pub(super) fn kinds(&self, interest: usize, history: &[Product]) -> [f64; NUM_KINDS] {
        let mut kinds = [0.0; NUM_KINDS];
        let mut browse = 1.0;
        if let Some(Product { kind: last, .. }) = history.last().copied() {
            let mut move_to = |kind: Kind, share: f64| {
                kinds[kind.index()] += share;
                browse -= share;
            };
            move_to(last.successor(), self.config.series);
            move_to(last.complement(), self.config.complement);
            let other = history.iter().rev().find(|p| p.kind.department != last.department);
            if let Some(other) = other {
                move_to(other.kind.successor(), self.config.resume);
            }
        }
        let focus = self.config.interest_focus;
        for (department, popularity) in self.departments.iter().enumerate() {
            let liked = if department == interest { focus } else { 0.0 };
            let share = browse * (liked + (1.0 - focus) * popularity);
            for (step, popularity) in self.steps.iter().enumerate() {
                kinds[Kind { department, step }.index()] += share * popularity;
            }
        }
        kinds
    }

    /// Probability of a style for a customer with this favourite.
    pub(super) fn style(&self, favourite: usize, style: usize) -> f64 {
        let liked = if favourite == style { self.config.style_focus } else { 0.0 };
        liked + (1.0 - self.config.style_focus) * self.styles[style]
    }

    /// Probability of each taste, in the order of [`Taste::all`], before anything is seen.
    pub(super) fn priors(&self) -> Vec<f64> {
        Taste::all().map(|taste| self.prior(taste)).collect()
    }
}

/// Shares that fall by `ratio` from one to the next and sum to one.
fn popularity(len: usize, ratio: f64) -> Vec<f64> {
    let weights: Vec<f64> =
        std::iter::successors(Some(1.0), |weight| Some(weight * ratio)).take(len).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_styles_are_distributions_whatever_the_history() {
        let law = Law::new(ShopConfig::new(1));
        let product = |department, step| Product { kind: Kind { department, step }, style: 3 };
        let history = [product(2, 1), product(9, 4), product(9, 4)];
        for taste in Taste::all() {
            for len in 0..=history.len() {
                let total: f64 = law.kinds(taste.interest, &history[..len]).iter().sum();
                assert!((total - 1.0).abs() < 1e-12, "{total}");
            }
            let total: f64 = (0..NUM_STYLES).map(|style| law.style(taste.style, style)).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
        }
        assert!((law.priors().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_shares_go_where_the_law_says() {
        // The tent, then cycling's last kind, by a customer interested in music; all departments
        // (1/10 each) and kinds (1/5 each) are equally popular. Browsing keeps 0.3, of which a
        // kind gets 0.3 · 0.3/10 · 1/5 = 0.0018, and 0.3 · 0.7 · 1/5 = 0.042 more in music.
        let mut config = ShopConfig::new(1);
        config.popularity_ratio = 1.0;
        let law = Law::new(config);
        let product = |department, step| Product { kind: Kind { department, step }, style: 0 };
        let kinds = law.kinds(6, &[product(3, 1), product(9, 4)]);
        let at = |department, step| kinds[Kind { department, step }.index()];
        let expected = [
            (at(0, 0), 0.35 + 0.0018), // series: the neighbour's first kind
            (at(0, 4), 0.1 + 0.0018),  // complement: the neighbour's last kind
            (at(3, 2), 0.25 + 0.0018), // resume: what follows the tent
            (at(6, 3), 0.042 + 0.0018),
            (at(4, 1), 0.0018),
        ];
        for (found, expected) in expected {
            assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
        }
    }
}
