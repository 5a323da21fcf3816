//! The embedding of a T5, which may have one of three names in its file, and the head.

use std::path::Path;

use crate::PolicyError;
use crate::models::foreign::{HEAD, equal, settle_head};
use crate::weights::Weights;

/// Name of the embedding that encoder and decoder share.
pub(crate) const SHARED: &str = "shared.weight";
/// Names under which files hold it, in addition or alone.
const COPIES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// Gives the embedding its one name, removes a table that no decoder layer reads, and returns
/// whether the output head is the embedding.
///
/// # Errors
/// [`PolicyError::OtherEmbedding`] if encoder and decoder have embeddings of their own.
pub(crate) fn settle(
    found: &mut Weights,
    says_tied: bool,
    path: &Path,
) -> Result<bool, PolicyError> {
    for name in COPIES {
        let Some(copy) = found.remove(name) else { continue };
        match found.get(SHARED) {
            None => drop(found.insert(SHARED.to_owned(), copy)),
            Some(shared) if equal(shared, &copy)? => {}
            Some(_) => {
                let (path, name) = (path.to_owned(), name.to_owned());
                return Err(PolicyError::OtherEmbedding { path, name });
            }
        }
    }
    found.retain(|name, _| !name.ends_with("EncDecAttention.relative_attention_bias.weight"));
    // Without a head in the file, the embedding is the head, as in transformers 5.
    let tied = settle_head(found, SHARED, says_tied, path)?;
    Ok(tied || !found.contains_key(HEAD))
}
