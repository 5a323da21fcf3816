//! The settings of a system.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Settings of a system by name, as its own type of settings spells them.
pub type Settings = BTreeMap<String, Value>;

/// Settings as a table: `train.lr` is the key `lr` of the table `train`.
pub(crate) fn table_of(settings: &Settings) -> Value {
    let mut table = Value::Object(Map::new());
    for (name, value) in settings {
        let mut place = &mut table;
        for key in name.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[key];
        }
        *place = value.clone();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_is_a_key_of_a_table() {
        let settings = [("train.lr", 0.1), ("layers", 2.0), ("train.epochs", 3.0)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.into())).into();
        let table = serde_json::json!({"layers": 2.0, "train": {"lr": 0.1, "epochs": 3.0}});
        assert_eq!(table_of(&settings), table);
    }
}
