//! Prints which codes may follow each prefix of a tiny catalogue. Instant.
//! Run: `cargo run -p sidereal-sid --example trie`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = SidSpec::new(vec![4, 4], 2)?;
    let sids = vec![
        SemanticId::from([0, 1]),
        SemanticId::from([2, 3, 0]),
        SemanticId::from([2, 3, 1]),
        SemanticId::from([2, 0]),
    ];
    let catalog = Catalog::new(spec, sids)?;
    let trie = Trie::from_catalog(&catalog);
    let words = catalog.spec().vocabulary();
    for item in catalog.items_by_sid() {
        let Some(sid) = catalog.sid(*item) else { continue };
        println!("item {item}: {sid}");
        let mut node = Trie::ROOT;
        for token in catalog.spec().tokens(sid)? {
            let children = trie.children(node);
            let legal: Vec<_> =
                children.tokens.iter().map(|t| words[*t as usize].as_str()).collect();
            println!("  legal {} -> {}", legal.join(" "), words[token as usize]);
            node = children.find(token).ok_or("an own code is always legal")?;
        }
    }
    Ok(())
}
