//! Log-probabilities of all answers, with the backward pass.

use tch::Tensor;

use super::ItemPolicy;
use super::branches::renormalised;
use super::pack::Packed;
use super::repeats::Prior;
use super::scorer::Law;
use super::seen::Seen;
use super::vectors::indices;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;
use crate::policy::ExactPolicy;
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;

/// One matrix product for each level, over all nodes of the level.
impl ExactPolicy for ItemPolicy {
    fn answer_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        prompts: &TokenBatch,
        law: TokenLaw,
    ) -> Result<LogpPass<'a>, PolicyError> {
        self.tree.check(constraint)?;
        renormalised(law.scoring)?;
        let packed = Packed::of_prompts(self, prompts, &vec![0; prompts.rows()?])?;
        let states = packed.last_states(self, &self.item_vectors(&packed.items)?)?; // [U, D]
        let nodes = self.node_vectors(&(0..self.tree.num_rows()).collect::<Vec<_>>())?; // [M, D]
        let tempered = (law.codes - 1.0).abs() > f64::EPSILON;
        let repeats = self.repeats(&states, &Seen::of(&packed), Prior::Learned)?;
        let law = Law { temperature: tempered.then_some(law.codes), repeats: repeats.as_ref() };
        let levels = self.prefixes(&nodes, &states, law)?;
        let rows = self.tree.trie().leaves().map(|leaf| i64::from(leaf.0) - 1);
        let rows = indices(rows, states.device());
        let all = Tensor::f_cat(&levels, 0)?; // [M, U]
        let answers = Tensor::f_embedding(&all, &rows, -1, false, false)?; // [A, U]
        LogpPass::of_graph(answers.f_transpose(0, 1)?.f_reshape([-1])?) // [U·A]
    }
}
