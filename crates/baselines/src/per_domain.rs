//! A recommender for each domain, chosen by the history.

use sidereal_data::{DomainId, Domains};
use sidereal_sid::ItemId;

use crate::{BaselineError, Recommender};

/// Recommends as the recommender of the history's domain does, and only items of that domain.
///
/// The last item of the history decides the domain; the items of all other domains get `−∞`. After
/// an empty history, every item has the score that the recommender of its own domain gives.
///
/// ```
/// use sidereal_baselines::{PerDomain, Popularity, Recommender};
/// use sidereal_data::{Dataset, Item, ItemId, User};
///
/// let shop = || Dataset::new(vec![Item::new("pot", "")], vec![User::new("ann", vec![ItemId(0); 3])]);
/// let both = Dataset::union([("tea", shop()?), ("garden", shop()?)], 1)?;
/// let domains = both.domains().unwrap();
/// let events = |user: usize| both.users()[user].events.clone();
/// let model = PerDomain::fit(domains, |_| Popularity::fit(2, &[events(0), events(1)]))?;
/// let mut scores = [0.0; 2];
/// model.score(&events(1), &mut scores)?;
/// assert_eq!(scores[events(1)[0].index()], 3.0);
/// assert_eq!(scores[events(0)[0].index()], f32::NEG_INFINITY);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PerDomain<'a, R> {
    domains: &'a Domains,
    /// By domain.
    parts: Vec<R>,
}

impl<'a, R: Recommender> PerDomain<'a, R> {
    /// The recommenders that `fit` makes of each domain, all over the items of the whole dataset.
    ///
    /// # Errors
    /// Those of `fit`.
    pub fn fit<E>(
        domains: &'a Domains,
        fit: impl FnMut(DomainId) -> Result<R, E>,
    ) -> Result<Self, E> {
        let parts = domains.iter().map(|(domain, _)| domain).map(fit);
        Ok(Self { domains, parts: parts.collect::<Result<_, E>>()? })
    }

    /// Calls the recommender of the domain; only the items of `domain` keep their scores.
    fn of_domain(
        &self,
        domain: DomainId,
        history: &[ItemId],
        scores: &mut [f32],
    ) -> Result<(), BaselineError> {
        if let Some(part) = self.parts.get(domain.0 as usize) {
            part.score(history, scores)?;
        }
        for (item, score) in (0..).map(ItemId).zip(scores) {
            if self.domains.of_item(item) != Some(domain) {
                *score = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }
}

impl<R: Recommender> Recommender for PerDomain<'_, R> {
    fn num_items(&self) -> usize {
        self.parts.first().map_or(0, Recommender::num_items)
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        if let Some(&item) = history.last() {
            let num_items = self.num_items();
            let domain = self.domains.of_item(item);
            let domain = domain.ok_or(BaselineError::Item { item, num_items })?;
            return self.of_domain(domain, history, scores);
        }
        let mut of_part = scores.to_vec();
        scores.fill(f32::NEG_INFINITY);
        for (domain, _) in self.domains.iter() {
            self.of_domain(domain, history, &mut of_part)?;
            scores.iter_mut().zip(&of_part).for_each(|(score, own)| *score = score.max(*own));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_data::{Dataset, HeldOut as _, Item, Split, User, leave_one_out};
    use sidereal_metrics::{Placement, SeenItems};

    use super::*;
    use crate::{Case, ItemTransition, Popularity, Transition, TransitionConfig, evaluate};

    /// `num` items, of which users choose four in a row.
    fn shop(num: u32, users: u32) -> Dataset {
        let items = (0..num).map(|item| Item::new(item.to_string(), "")).collect();
        let events =
            |user: u32| (0..4).map(|step| ItemId((user * user + step * 2) % num)).collect();
        let users = (0..users).map(|user| User::new(user.to_string(), events(user))).collect();
        Dataset::new(items, users).unwrap()
    }

    fn placed<R: Recommender>(model: &R, split: &Split) -> Vec<Placement> {
        let cases: Vec<Case<'_, u32>> = split
            .test
            .samples()
            .map(|sample| Case {
                sample: sample.user.0,
                history: sample.history,
                seen: sample.seen,
                target: sample.target,
            })
            .collect();
        let run = evaluate(model, &cases, SeenItems::Kept).unwrap();
        run.placements().map(|(_, placement)| placement).collect()
    }

    fn events(split: &Split) -> Vec<&[ItemId]> {
        split.train.sequences().map(|sequence| sequence.events).collect()
    }

    #[test]
    fn a_domain_is_ranked_as_if_it_were_alone() {
        let shops = [shop(7, 9), shop(11, 5)];
        let names = ["a", "b"];
        let both = Dataset::union(names.into_iter().zip(shops.clone()), 3).unwrap();
        let domains = both.domains().unwrap();
        let split = leave_one_out(&both, NonZeroUsize::MAX).unwrap();
        let of = |domain: DomainId| split.of_users(|user| domains.of_user(user) == Some(domain));
        let settings = Transition::try_from(TransitionConfig::default()).unwrap();
        let popular =
            PerDomain::fit(domains, |domain| Popularity::fit(18, &events(&of(domain)))).unwrap();
        let steps = PerDomain::fit(domains, |domain| {
            ItemTransition::fit(&settings, 18, &events(&of(domain)))
        })
        .unwrap();
        for (name, shop) in names.iter().zip(&shops) {
            let own = of(domains.find(name).unwrap());
            let alone = leave_one_out(shop, NonZeroUsize::MAX).unwrap();
            let num = shop.num_items();
            let model = Popularity::fit(num, &events(&alone)).unwrap();
            assert_eq!(placed(&popular, &own), placed(&model, &alone));
            let model = ItemTransition::fit(&settings, num, &events(&alone)).unwrap();
            assert_eq!(placed(&steps, &own), placed(&model, &alone));
        }
    }

    #[test]
    fn an_empty_history_uses_all_domains_and_unknown_items_are_errors() {
        let both = Dataset::union([("a", shop(3, 4)), ("b", shop(2, 1))], 3).unwrap();
        let domains = both.domains().unwrap();
        let counts =
            Popularity::fit(5, &both.users().iter().map(|u| &u.events[..]).collect::<Vec<_>>());
        let counts = counts.unwrap();
        let model = PerDomain::fit(domains, |_| Ok::<_, BaselineError>(counts.clone())).unwrap();
        let (mut found, mut expected) = ([0.0; 5], [0.0; 5]);
        model.score(&[], &mut found).unwrap();
        counts.score(&[], &mut expected).unwrap();
        assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits));
        let error = model.score(&[ItemId(5)], &mut found);
        assert!(matches!(error, Err(BaselineError::Item { item: ItemId(5), num_items: 5 })));
    }
}
