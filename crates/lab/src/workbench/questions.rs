//! Questions to users of the test that have several right answers.

use std::collections::BTreeMap;

use rand::seq::SliceRandom as _;
use sidereal_data::{HeldOut as _, ItemId, Labels, Query, Sample, SampleId, UserId};
use sidereal_prompts::Task;

use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;

/// A question with all its right answers.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    /// What it asks for: that of its first target.
    pub(crate) id: SampleId,
    pub(crate) user: UserId,
    /// What the user chose before the first target of the test, as far as a model sees it.
    pub(crate) history: &'a [ItemId],
    /// The behaviour that it names.
    pub(crate) behaviour: Option<&'a str>,
    /// A sample with the first target and this history; `None` for a query.
    pub(crate) sample: Option<Sample<'a>>,
    /// All right answers, in the order of the source.
    pub(crate) targets: Vec<ItemId>,
}

/// The questions of a task, by user: one for each user of the test who has an answer, and for `interactive` one for
/// each query.
pub(crate) fn questions<'a>(task: Task, bench: &Workbench<'a>) -> Vec<Question<'a>> {
    // The samples of a user are in the order of their positions.
    let mut users: BTreeMap<UserId, Vec<Sample<'a>>> = BTreeMap::new();
    for sample in bench.split.test.samples() {
        users.entry(sample.user).or_default().push(sample);
    }
    let of_user = |(_, samples): (_, Vec<Sample<'a>>)| match task {
        Task::LabelConditional => with_behaviour(&samples, bench).into_iter().collect(),
        Task::Interactive => of_queries(&samples, bench),
        _ => next_items(&samples).into_iter().collect(),
    };
    users.into_iter().flat_map(of_user).collect()
}

/// All that a user chose after the history.
fn next_items<'a>(samples: &[Sample<'a>]) -> Option<Question<'a>> {
    let first = samples.first()?;
    Some(Question {
        id: first.id,
        user: first.user,
        history: first.history,
        behaviour: None,
        sample: Some(*first),
        targets: samples.iter().map(|sample| sample.target).collect(),
    })
}

/// All with which a user shows a behaviour after the history; the behaviour is drawn by seed, of those that the user
/// shows.
fn with_behaviour<'a>(samples: &[Sample<'a>], bench: &Workbench<'a>) -> Option<Question<'a>> {
    let first = samples.first()?;
    let user = bench.dataset.user(first.user)?;
    let labels = |sample: &Sample<'_>| -> Labels { user.labels_of(sample.seen.len()) };
    let names = bench.dataset.behaviours();
    let shown: Vec<usize> = (0..names.len())
        .filter(|place| samples.iter().any(|sample| labels(sample).contains(*place)))
        .collect();
    let mut rng = stream(bench.seed, Purpose::Behaviours, first.user.0.into());
    let place = *shown.choose(&mut rng)?;
    let mut held = samples.iter().filter(|sample| labels(sample).contains(place)).copied();
    let mut asked = held.next()?;
    let targets = std::iter::once(asked.target).chain(held.map(|sample| sample.target)).collect();
    // The earlier targets are held out as well.
    asked.history = first.history;
    Some(Question {
        id: asked.id,
        user: asked.user,
        history: first.history,
        behaviour: names.get(place).map(String::as_str),
        sample: Some(asked),
        targets,
    })
}

/// A question for each query of a user with a portrait.
fn of_queries<'a>(samples: &[Sample<'a>], bench: &Workbench<'a>) -> Vec<Question<'a>> {
    let Some(first) = samples.first() else { return Vec::new() };
    let user = bench.dataset.user(first.user).filter(|user| !user.portrait.is_empty());
    let mut next = 0;
    let question = |query: &Query| {
        let place = next;
        next += u32::try_from(query.items.len()).unwrap_or(u32::MAX);
        (!query.items.is_empty()).then(|| Question {
            id: SampleId::Query { user: first.user, place },
            user: first.user,
            history: first.history,
            behaviour: None,
            sample: None,
            targets: query.items.clone(),
        })
    };
    user.into_iter().flat_map(|user| &user.queries).filter_map(question).collect()
}
