//! Tensors of checkpoints from other projects, under the names that the models here read.

use std::path::Path;

use tch::Tensor;

use crate::PolicyError;
use crate::weights::Weights;

/// Name of the output head that a checkpoint may have.
pub(crate) const HEAD: &str = "lm_head.weight";
/// The prefix that sentence-transformers puts before the names of the model that it wraps.
const WRAPPED: &str = "0.auto_model.";

/// Whether the output head is the embedding `table`, according to the file. A head that only
/// repeats the embedding is removed.
///
/// A configuration may tie the two although the file holds a different head, for example after
/// adapters were merged into both. Then the head of the file is used, with a warning, as in
/// transformers 5. Without a head in the file, `says_tied` decides.
pub(crate) fn settle_head(
    found: &mut Weights,
    table: &str,
    says_tied: bool,
    path: &Path,
) -> Result<bool, PolicyError> {
    let (true, Some(head)) = (says_tied, found.get(HEAD)) else { return Ok(says_tied) };
    let repeated = match found.get(table) {
        Some(table) => equal(table, head)?,
        None => false,
    };
    if repeated {
        found.remove(HEAD);
    } else {
        tracing::warn!(
            "`{}`: `{HEAD}` differs from `{table}`, although the configuration ties them: the head \
             of the file is used; set `tie_word_embeddings` to false",
            path.display()
        );
    }
    Ok(repeated)
}

/// Whether two tensors hold the same numbers, whatever their element types.
pub(crate) fn equal(one: &Tensor, other: &Tensor) -> Result<bool, PolicyError> {
    if one.size() != other.size() {
        return Ok(false);
    }
    Ok(i64::try_from(one.f_eq_tensor(other)?.f_all()?)? == 1)
}

/// The tensors of a decoder under the names of the causal model. In checkpoints of the body alone,
/// the names lack `model.`.
pub(crate) fn decoder_names(found: Weights) -> Weights {
    let found = unwrapped(found);
    if found.keys().any(|name| name.starts_with("model.")) {
        return found;
    }
    // `embed_tokens` identifies the body of a decoder; an encoder-decoder calls it `shared`.
    if !found.contains_key("embed_tokens.weight") {
        return found;
    }
    let whole = |name: String| if name == HEAD { name } else { format!("model.{name}") };
    found.into_iter().map(|(name, tensor)| (whole(name), tensor)).collect()
}

/// The tensors of a BERT under the names of its body. The prefix `bert.` of models with a head is
/// removed, and so are the heads. Norms get a weight and a bias, which the first BERTs call gamma
/// and beta.
pub(crate) fn bert_names(found: Weights, path: &Path) -> Weights {
    let mut found = unwrapped(found);
    if found.keys().any(|name| name.starts_with("bert.")) {
        let before = found.len();
        let inner = |(name, tensor): (String, Tensor)| {
            Some((name.strip_prefix("bert.")?.to_owned(), tensor))
        };
        found = found.into_iter().filter_map(inner).collect();
        let heads = before - found.len();
        if heads > 0 {
            let path = path.display();
            tracing::info!("`{path}`: {heads} tensors of heads over `bert.` are not needed");
        }
    }
    let norm = |name: String| {
        let renamed = |old: &str, new: &str| {
            name.strip_suffix(old).map(|stem| format!("{stem}LayerNorm.{new}"))
        };
        renamed("LayerNorm.gamma", "weight")
            .or_else(|| renamed("LayerNorm.beta", "bias"))
            .unwrap_or(name.clone())
    };
    found.into_iter().map(|(name, tensor)| (norm(name), tensor)).collect()
}

/// Names without the prefix of sentence-transformers, which it adds when it saves all its modules
/// in one file.
fn unwrapped(found: Weights) -> Weights {
    let name = |name: String| name.strip_prefix(WRAPPED).map(str::to_owned).unwrap_or(name);
    found.into_iter().map(|(key, tensor)| (name(key), tensor)).collect()
}
