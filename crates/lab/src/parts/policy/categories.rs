//! Whether the data have the categories that a reinforcement looks at.

use sidereal_data::Dataset;
use sidereal_train::{Categories, ItemFacts};

use crate::error::LabError;
use crate::recipe::stage::{Stage, Training};
use crate::setting::of_stage;

/// Accepts stages that look at categories, by their reward or by the diversity of SAGE, if the items of the data
/// have some.
pub(crate) fn check_categories(stages: &[Stage], dataset: &Dataset) -> Result<(), LabError> {
    let categories = Categories::new(dataset);
    let facts = ItemFacts::default().with_categories(&categories);
    stages.iter().try_for_each(|stage| match &stage.training {
        Training::Rl { config, reward } => {
            of_stage(&stage.name, facts.check_needed(&config.objective))?;
            of_stage(&stage.name, reward.check_categories(&categories))
        }
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sidereal_data::{Item, ItemId, User};

    use super::*;
    use crate::Recipe;

    const HEAD: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'sft'\nsft = {}\n[[stage]]\nname = 'rl'\nfrom = 'sft'\nreward = 'accuracy'\n";

    fn dataset(categories: &[&str]) -> Dataset {
        let mut item = Item::new("a", "");
        item.categories = categories.iter().map(ToString::to_string).collect();
        Dataset::new(vec![item], vec![User::new("u", vec![ItemId(0)])]).unwrap()
    }

    #[test]
    fn sage_without_categories_is_refused_unless_it_looks_at_no_diversity() {
        for (stage, fits) in [
            ("rl.objective.sage = {}\n", false),
            ("rl.objective.sage = { diversity_temperature = 0 }\n", true),
            ("rl.objective.gbpo = {}\n", true),
        ] {
            let recipe = Recipe::parse(&format!("{HEAD}{stage}"), Path::new("text")).unwrap();
            let found = check_categories(&recipe.stages, &dataset(&[]));
            assert_eq!(found.is_ok(), fits, "{stage}");
            if let Err(error) = found {
                let text = error.to_string();
                for part in [
                    "`stage.rl.rl.objective` is SAGE",
                    "no item has a category",
                    "diversity_temperature = 0",
                ] {
                    assert!(text.contains(part), "{part}: {text}");
                }
            }
            assert!(check_categories(&recipe.stages, &dataset(&["root", "tea"])).is_ok());
        }
    }
}
