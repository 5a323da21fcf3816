//! Several domains in one run: each a pair of `RecBole` files under a name.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use sidereal::data::Dataset;
use sidereal::data::read::recbole::{ReadOptions, read};

/// `NAME=x.inter,x.item`.
#[derive(Debug, Clone)]
pub(crate) struct DomainFiles {
    name: String,
    interactions: PathBuf,
    items: PathBuf,
}

impl FromStr for DomainFiles {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, files) = text.split_once('=').ok_or("expected NAME=x.inter,x.item")?;
        let (interactions, items) =
            files.split_once(',').ok_or("expected two files, x.inter,x.item")?;
        let name = name.to_owned();
        Ok(Self { name, interactions: interactions.into(), items: items.into() })
    }
}

/// Reads all domains into one dataset.
pub(crate) fn read_domains(domains: &[DomainFiles], seed: u64) -> anyhow::Result<Dataset> {
    let options = ReadOptions::new(seed);
    let parts = domains
        .iter()
        .map(|DomainFiles { name, interactions, items }| {
            let part = read(interactions, items, &options);
            Ok((name.clone(), part.with_context(|| format!("domain `{name}`"))?.dataset))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Dataset::union(parts, seed)?)
}
