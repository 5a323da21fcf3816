//! Tasks about what a user asked for in words.

use sidereal_data::{SampleId, TrainSet, UserId};

use super::subject::Subject;
use super::{Rendered, Tasks};
use crate::control::{ControlKind, control_tokens};
use crate::{PromptError, Task, Wording};

impl Tasks<'_> {
    /// Who asked and the place of each item among those of all queries of the user, for the users of `train`:
    /// those whose events are trained.
    ///
    /// A query has no time, so it cannot be told whether it came before an event that is held out. Only a split
    /// by users, which trains on all of a user or on nothing, keeps the queries of the test apart.
    pub fn queries(&self, train: &TrainSet) -> impl Iterator<Item = (UserId, u32)> {
        train.sequences().flat_map(move |sequence| {
            let count = self.dataset.user(sequence.user).map_or(0, |user| user.queried().count());
            let places = 0..u32::try_from(count).unwrap_or(u32::MAX);
            places.map(move |place| (sequence.user, place))
        })
    }

    /// A task about the `place`-th of the items of a user's queries
    /// ([`User::queried`](sidereal_data::User::queried)); `None` if there is none, and for a user without a
    /// portrait, if the prompt shows it.
    ///
    /// # Errors
    /// [`PromptError::WrongTask`] for a task that is about something else; [`PromptError::NoTemplate`].
    pub fn query(
        &self,
        task: Task,
        user: UserId,
        place: u32,
        wording: Wording,
    ) -> Result<Option<Rendered>, PromptError> {
        if !task.is_about_a_query() {
            return Err(PromptError::WrongTask { task, what: "a query of a user" });
        }
        let asked = self.dataset.user(user).and_then(|who| {
            let (query, target) = who.queried().nth(place as usize)?;
            Some((who, query, target))
        });
        let Some((who, query, target)) = asked else { return Ok(None) };
        let id = SampleId::Query { user, place };
        let subject = Subject {
            id,
            sample: None,
            target,
            history: &[],
            candidates: Vec::new(),
            query: Some((who, query)),
        };
        self.render(task, subject, wording)
    }

    /// Accepts portraits and queries without control tokens; codes of Semantic IDs are allowed in them.
    pub(super) fn check_queries(&self) -> Result<(), PromptError> {
        let token = |text: &str| {
            let mut shapes = control_tokens(text, &self.style);
            let shape = shapes.find(|(kind, _)| *kind != ControlKind::Code).map(|(_, it)| it);
            shape.or_else(|| self.markers.find_token(text)).map(str::to_owned)
        };
        for user in self.dataset.users() {
            let words = user.queries.iter().map(|query| ("query", query.words.as_str()));
            for (what, text) in words.chain([("portrait", user.portrait.as_str())]) {
                if let Some(token) = token(text) {
                    let user = user.key.clone();
                    return Err(PromptError::ControlTokenOfUser { user, what, token });
                }
            }
        }
        Ok(())
    }
}
