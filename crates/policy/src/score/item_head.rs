//! Items scored by the states of a language model.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::policy::LanguageModel;
use crate::sizes::axes;

/// A recommendation head: items are scored by the inner product of a user's last hidden state with that of each
/// item's text.
///
/// ```text
/// p(v | u) = softmax over v of ( unit(h[u]) · unit(H[v]) / τ )
/// h[u]: the state after all that was read and written for the user      H[v]: the state after the text of item v
/// ```
/// `R²ec`: You, Li, Lin, Zhang and others, *Towards Large Recommender Models with Reasoning*,
/// [arXiv:2505.16994](https://arxiv.org/abs/2505.16994), its recommendation head, with unit vectors and the
/// temperature of the authors' code. The same model reads users and items, and the head has no weights of its own.
///
/// Holding one is the proof that the temperature is in its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemHead {
    temperature: f64,
}

impl ItemHead {
    /// A head of this temperature, `τ`.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] unless it is finite and above 0.
    pub fn new(temperature: f64) -> Result<Self, PolicyError> {
        if temperature > 0.0 && temperature.is_finite() {
            return Ok(Self { temperature });
        }
        let (field, found) = ("temperature", temperature.to_string());
        Err(PolicyError::Unsupported { field, found, expected: "a finite number above 0" })
    }

    /// Vectors `[N, D]` of items by their texts, as token ids: `H`, f32, through which gradients flow where they are
    /// recorded.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no texts or an empty one; [`PolicyError::PromptLength`] for one that is longer
    /// than the model reads; those of [`LanguageModel::prefill`].
    pub fn vectors(
        self,
        model: &dyn LanguageModel,
        texts: &[&[u32]],
        pad: u32,
    ) -> Result<Tensor, PolicyError> {
        last_states(model, texts, pad)
    }

    /// The same for many texts, `batch_size` read at a time (0 counts as 1), without gradients.
    ///
    /// # Errors
    /// As [`vectors`](Self::vectors).
    pub fn table(
        self,
        model: &dyn LanguageModel,
        texts: &[Vec<u32>],
        pad: u32,
        batch_size: usize,
    ) -> Result<Tensor, PolicyError> {
        let _guard = tch::no_grad_guard();
        if texts.is_empty() {
            return Err(PolicyError::Empty { what: "the texts of items" });
        }
        // Texts of similar length together; the vectors come back in the order of the items.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|item| texts[*item].len());
        let mut rows = vec![0i64; texts.len()];
        for (row, item) in (0i64..).zip(&order) {
            rows[*item] = row;
        }
        let parts = order
            .chunks(batch_size.max(1))
            .map(|items| {
                let texts: Vec<&[u32]> = items.iter().map(|item| texts[*item].as_slice()).collect();
                self.vectors(model, &texts, pad)
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let rows = Tensor::from_slice(&rows).to_device(model.device());
        Ok(Tensor::f_cat(&parts, 0)?.f_index_select(0, &rows)?)
    }

    /// Log-probability `[U, N]`, in nats, of each item after what each state stands for, among these items.
    ///
    /// # Shapes
    /// - `states`: `[U, D]`
    /// - `items`: `[N, D]`, as [`vectors`](Self::vectors) makes them
    ///
    /// # Errors
    /// [`PolicyError::Size`] for other shapes.
    pub fn logp(self, states: &Tensor, items: &Tensor) -> Result<Tensor, PolicyError> {
        let [_, found] = axes("axes of states of users", states)?;
        let [_, expected] = axes("axes of vectors of items", items)?;
        if found != expected {
            let count = |size: i64| usize::try_from(size).unwrap_or(usize::MAX);
            let what = "the width of the states of users";
            return Err(PolicyError::Size { what, found: count(found), expected: count(expected) });
        }
        let cosines = unit(states)?.f_matmul(&unit(items)?.f_transpose(0, 1)?)?; // [U, N]
        Ok(cosines.f_div_scalar(self.temperature)?.f_log_softmax(-1, Kind::Float)?)
    }
}

/// Rows of length one, f32; a row of zeros stays.
fn unit(rows: &Tensor) -> Result<Tensor, PolicyError> {
    let rows = rows.f_to_kind(Kind::Float)?;
    let lengths = rows.f_norm_scalaropt_dim(2.0, [-1].as_slice(), true)?;
    Ok(rows.f_div(&lengths.f_clamp_min(1e-12)?)?)
}

/// The state after the last token of each text, read alone, `[n, D]`, f32.
pub(crate) fn last_states<R: AsRef<[u32]>>(
    model: &dyn LanguageModel,
    texts: &[R],
    pad: u32,
) -> Result<Tensor, PolicyError> {
    let tokens = TokenBatch::new(texts, pad, model.longest_prompt(0), model.device())?;
    let (hidden, _) = model.prefill(&tokens, &vec![0; texts.len()])?;
    Ok(hidden.f_to_kind(Kind::Float)?)
}
