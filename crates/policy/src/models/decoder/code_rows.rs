//! The rows of the codes as small weights of their own, beside a frozen embedding and head.

use std::ops::Range;

use super::{Decoder, EMBEDDING};
use crate::PolicyError;
use crate::models::foreign::HEAD;
use crate::models::head::Head;
use crate::models::token_rows::named_leaves;
use crate::trainable::CodeRows;
use crate::weights::Weights;

impl Decoder {
    /// Makes rows of the embedding and of the head weights of their own, which replace earlier ones. They share
    /// storage with the matrices.
    ///
    /// A tied head shares its rows with the embedding. With [`CodeRows::Output`] it becomes a matrix of its own at
    /// first, because the rows of the embedding stay as they are; the model is then written with both.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for rows outside the vocabulary; [`PolicyError::Torch`].
    pub fn with_code_rows(mut self, rows: Range<i64>, of: CodeRows) -> Result<Self, PolicyError> {
        self.embedding.put_back();
        if of == CodeRows::Output {
            self.untie();
        } else {
            self.embedding.take_out(rows.clone())?;
        }
        if self.config.tie_word_embeddings {
            self.head.rows_mut().take_out_as(&self.embedding);
        } else {
            self.head.rows_mut().take_out(rows)?;
        }
        Ok(self)
    }

    /// The rows that are weights of their own, by names that begin with those of their matrices.
    #[must_use]
    pub fn code_rows(&self) -> Weights {
        let head = (!self.config.tie_word_embeddings).then(|| (HEAD, self.head.own()));
        named_leaves([Some((EMBEDDING, self.embedding.own())), head])
    }

    /// Gives the model a head of its own with the values of the embedding, if the two are tied.
    fn untie(&mut self) {
        if !self.config.tie_word_embeddings {
            return;
        }
        let head = self.embedding.weight().detach().copy();
        self.weights.insert(HEAD.to_owned(), head.shallow_clone());
        self.head = Head::new(head).computing_in(self.kind);
        self.config.tie_word_embeddings = false;
    }
}
