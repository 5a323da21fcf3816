//! `like`: a recipe's stage that takes over the settings of another.

use toml::{Table, Value};

use crate::error::LabError;

/// Settings with several alternatives, each a table of its own. Another alternative replaces the
/// whole table of the one before.
const CHOICES: [&str; 6] = ["advantage", "layers", "objective", "order", "reward", "rollout"];

/// Replaces `like = "NAME"` in each `[[stage]]` by the settings of that earlier stage, which the
/// stage's own settings overwrite, table by table. Name and label are never copied.
pub(crate) fn resolve(recipe: &mut Table) -> Result<(), LabError> {
    let Some(Value::Array(stages)) = recipe.get_mut("stage") else { return Ok(()) };
    for index in 0..stages.len() {
        let (before, rest) = stages.split_at_mut(index);
        let Some(Value::Table(stage)) = rest.first_mut() else { continue };
        let Some(like) = stage.remove("like") else { continue };
        let base = before.iter().filter_map(Value::as_table).find(|other| {
            other.get("name").is_some_and(|name| name.as_str().is_some() && *name == like)
        });
        let Some(base) = base else {
            let name = stage.get("name").map(ToString::to_string).unwrap_or_default();
            return Err(LabError::Setting {
                field: format!("stage.{}.like", name.trim_matches('"')),
                found: like.to_string(),
                needed: "the name of an earlier stage",
            });
        };
        let mut whole = base.clone();
        whole.remove("name");
        whole.remove("label");
        overwrite(&mut whole, std::mem::take(stage));
        *stage = whole;
    }
    Ok(())
}

/// Tables are merged; every other value replaces the one before.
fn overwrite(base: &mut Table, own: Table) {
    for (key, value) in own {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(own))
                if !CHOICES.contains(&key.as_str()) || base.keys().eq(own.keys()) =>
            {
                overwrite(base, own);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<Table, LabError> {
        let mut table: Table = text.parse().unwrap();
        resolve(&mut table).map(|()| table)
    }

    #[test]
    fn a_stage_inherits_the_settings_that_it_does_not_set() {
        let table = resolved(
            "[[stage]]\nname = 'a'\nlabel = 'A'\nfrom = 's'\n[stage.rl]\nsteps = 3\n\
             [stage.rl.optim]\nlr = 0.1\nwarmup = 0.5\n\
             [[stage]]\nname = 'b'\nlike = 'a'\n[stage.rl.optim]\nlr = 0.2\n",
        );
        let expected: Table = "name = 'b'\nfrom = 's'\n[rl]\nsteps = 3\n[rl.optim]\nlr = 0.2\n\
                               warmup = 0.5\n"
            .parse()
            .unwrap();
        assert_eq!(table.unwrap()["stage"][1], Value::Table(expected));
    }

    #[test]
    fn another_alternative_replaces_the_whole_choice() {
        let table = resolved(
            "[[stage]]\nname = 'a'\nrl = { reward = { singer = { rank = 'paper' } } }\n\
             [[stage]]\nname = 'b'\nlike = 'a'\nrl = { reward = { accuracy = {} } }\n",
        )
        .unwrap();
        let expected: Table = "accuracy = {}".parse().unwrap();
        assert_eq!(table["stage"][1]["rl"]["reward"], Value::Table(expected));
    }

    #[test]
    fn a_setting_of_the_same_alternative_and_of_a_plain_table_stays() {
        let table = resolved(
            "[[stage]]\nname = 'a'\nrl = { objective = { grpo = { clip = 1, kl = 2 } } }\n\
             loss = { beta = 0.5 }\n\
             [[stage]]\nname = 'b'\nlike = 'a'\nrl = { objective = { grpo = { kl = 3 } } }\n\
             loss = { reference_free = true }\n",
        )
        .unwrap();
        let expected: Table = "name = 'b'\nrl = { objective = { grpo = { clip = 1, kl = 3 } } }\n\
             loss = { beta = 0.5, reference_free = true }\n"
            .parse()
            .unwrap();
        assert_eq!(table["stage"][1], Value::Table(expected));
    }

    #[test]
    fn like_must_name_an_earlier_stage() {
        let text = "[[stage]]\nname = 'b'\nlike = 'c'\n[[stage]]\nname = 'c'\n";
        let error = resolved(text).unwrap_err().to_string();
        assert!(error.contains("stage.b.like") && error.contains("\"c\""), "{error}");
    }
}
