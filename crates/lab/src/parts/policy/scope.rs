//! The part of the data that a stage learns from: some of the domains, of the users, or of the events.

use std::borrow::Cow;

use rand::seq::SliceRandom as _;
use sidereal_data::{
    Dataset, DomainId, Domains, HeldOut as _, ItemId, NegativeKind, Negatives, Split, UserId,
};
use sidereal_policy::Excluded;
use sidereal_prompts::Tasks;
use sidereal_sid::{Catalog, Trie};

use crate::error::LabError;
use crate::recipe::stage::{EventPart, Stage, Training, UserShare};
use crate::seed::{Purpose, stream};

/// The data that a stage learns from and validates on.
pub(crate) struct Scope<'a> {
    /// Samples of its users.
    pub(crate) split: Cow<'a, Split>,
    /// Items of its domains, by identity; `None` for all items.
    items: Option<Vec<ItemId>>,
}

/// Accepts stages if the data have their domains.
pub(crate) fn check_domains(stages: &[Stage], dataset: &Dataset) -> Result<(), LabError> {
    stages.iter().try_for_each(|stage| domains_of(stage, dataset).map(drop))
}

/// The domains of the data and those of a stage; `None` for a stage that learns from all data.
fn domains_of<'d>(
    stage: &Stage,
    dataset: &'d Dataset,
) -> Result<Option<(&'d Domains, Vec<DomainId>)>, LabError> {
    let Some(names) = &stage.domains else { return Ok(None) };
    let Some(domains) = dataset.domains() else {
        return Err(LabError::Setting {
            field: format!("stage.{}.domains", stage.name),
            found: names.join(", "),
            needed: "no value, because the data has no domains",
        });
    };
    let find = |name: &String| {
        domains.find(name).ok_or_else(|| LabError::UnknownDomain {
            stage: stage.name.clone(),
            name: name.clone(),
            found: domains.names().join(", "),
        })
    };
    let found = names.iter().map(find).collect::<Result<_, _>>()?;
    Ok(Some((domains, found)))
}

/// The users of a share, ascending.
fn users_of(share: UserShare, num_users: usize, seed: u64) -> Vec<UserId> {
    let mut users: Vec<UserId> = (0..).map(UserId).take(num_users).collect();
    users.shuffle(&mut stream(seed, Purpose::UserShare, 0));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let at = |share: f64| (share * users.len() as f64).round() as usize;
    let (from, to) = (at(share.from), at(share.to));
    let mut users = users[from..to].to_vec();
    users.sort_unstable();
    users
}

impl<'a> Scope<'a> {
    /// The samples and items of the domains and users of a stage.
    pub(crate) fn new(
        stage: &Stage,
        dataset: &Dataset,
        split: &'a Split,
        seed: u64,
    ) -> Result<Self, LabError> {
        let mut scope = Self { split: Cow::Borrowed(split), items: None };
        if let Some((domains, asked)) = domains_of(stage, dataset)? {
            let within = |domain: Option<DomainId>| domain.is_some_and(|it| asked.contains(&it));
            scope.split = Cow::Owned(split.of_users(|user| within(domains.of_user(user))));
            let all = (0..).map(ItemId).take(dataset.num_items());
            scope.items = Some(all.filter(|item| within(domains.of_item(*item))).collect());
        }
        if let Some(share) = stage.users {
            let users = users_of(share, dataset.num_users(), seed);
            let mut split = scope.split.into_owned();
            split.train = split.train.of_users(|user| users.binary_search(&user).is_ok());
            scope.split = Cow::Owned(split);
        }
        if stage.events != EventPart::All {
            let mut split = scope.split.into_owned();
            split.train = match stage.events {
                EventPart::AllButLatest => split.train.without_latest(),
                _ => split.train.latest(),
            };
            scope.split = Cow::Owned(split);
        }
        scope.check(stage)?;
        Ok(scope)
    }

    /// Rejects a part of the data without samples for training or validation.
    fn check(&self, stage: &Stage) -> Result<(), LabError> {
        // A mixture may have no tasks about events.
        let supervised = matches!(stage.training, Training::Sft(_));
        let sets = [
            ("training", supervised || self.split.train.num_samples() > 0),
            ("validation", self.split.valid.num_samples() > 0),
        ];
        let limited =
            stage.domains.is_some() || stage.users.is_some() || stage.events != EventPart::All;
        let Some((set, _)) = sets.into_iter().find(|(_, enough)| limited && !enough) else {
            return Ok(());
        };
        let domains = stage.domains.as_ref().map(|names| names.join(", "));
        let users = stage.users.map(|UserShare { from, to }| format!("users from {from} to {to}"));
        let events = match stage.events {
            EventPart::All => None,
            EventPart::AllButLatest => Some("all events but each user's latest".to_owned()),
            EventPart::Latest => Some("each user's latest event".to_owned()),
        };
        let part = domains.into_iter().chain(users).chain(events).collect::<Vec<_>>().join(", ");
        Err(LabError::NothingInScope { stage: stage.name.clone(), part, set })
    }

    /// Tasks that are about these items.
    pub(crate) fn tasks<'t>(&self, tasks: Tasks<'t>) -> Tasks<'t> {
        match &self.items {
            Some(items) => tasks.with_items(items.clone()),
            None => tasks,
        }
    }

    /// Negatives among these items.
    pub(crate) fn negatives<'c>(
        &self,
        kind: NegativeKind,
        catalog: &'c Catalog,
    ) -> Result<Negatives<'c>, LabError> {
        let train = &self.split.train;
        Ok(match &self.items {
            Some(items) => {
                let keep = |item: ItemId| items.binary_search(&item).is_ok();
                Negatives::among(kind, train, catalog, keep)?
            }
            None => Negatives::new(kind, train, catalog)?,
        })
    }

    /// The items that a search among these items excludes.
    pub(crate) fn excluded(&self, trie: &Trie) -> Result<Excluded, LabError> {
        Ok(match &self.items {
            Some(items) => Excluded::all_but(trie, items.iter().copied())?,
            None => Excluded::default(),
        })
    }
}
