//! Which settings have a meaning where all answers are known.

use sidereal_policy::Scoring;
use sidereal_rl::{Clip, ExactAdvantage, ExactObjective, Grpo, KlEstimator, Normalise, Surrogate};

use crate::TrainError;
use crate::rl::{AdvantageConfig, RlConfig, RolloutConfig};

impl RlConfig {
    /// Accepts exact gradients without settings of rollouts, and rollouts without those of exact gradients.
    pub(in crate::rl) fn check_exact(&self) -> Result<(), TrainError> {
        if self.rollout != RolloutConfig::Exact {
            let needed = "0, because only `rollout = \"exact\"` knows the entropy over all answers";
            let given = (self.entropy_bonus != 0.0).then(|| self.entropy_bonus.to_string());
            return refuse("entropy_bonus", given, needed);
        }
        let reasons = self.reasoning.as_ref().map(|_| "a table".to_owned());
        refuse("reasoning", reasons, "no value, because exact gradients know no chains")?;
        let guides = self.prefix_curriculum.then(|| "true".to_owned());
        let needed = "`false`, because `rollout = \"exact\"` meets every answer without a guide";
        refuse("prefix_curriculum", guides, needed)?;
        let draws = (self.max_draws > 1).then(|| self.max_draws.to_string());
        refuse("max_draws", draws, "1, because nothing is drawn with `rollout = \"exact\"`")?;
        let full = (self.scoring == Scoring::Full).then(|| "`full`".to_owned());
        let needed = "`renormalised`, because the probabilities of all answers sum to one";
        refuse("scoring", full, needed)?;
        self.exact_objective().map(drop)
    }

    /// What exact gradients maximise.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for advantages, objectives and coefficients that have no exact counterpart.
    pub(in crate::rl) fn exact_objective(&self) -> Result<ExactObjective, TrainError> {
        let advantage = match self.advantage {
            AdvantageConfig::MeanOnly => Some(ExactAdvantage::Reward),
            AdvantageConfig::ZScore(z) if z.ddof() == 0 => {
                Some(ExactAdvantage::Standardised(z.eps()))
            }
            _ => None,
        };
        let kl = match self.objective {
            Surrogate::Grpo(Grpo { clip, kl, normalise })
                if clip == Clip::default() && normalise == Normalise::default() =>
            {
                match kl {
                    None => Some(0.0),
                    Some(kl) if kl.estimator() == KlEstimator::default() => Some(kl.coef()),
                    Some(_) => None,
                }
            }
            _ => None,
        };
        let Some(advantage) = advantage else {
            let needed = "`mean_only`, or `z_score` with `ddof = 0`, because `rollout = \"exact\"` has all \
                          answers and not a sample of them";
            return Err(setting("advantage", format!("{:?}", self.advantage), needed));
        };
        let Some(kl) = kl else {
            let needed = "`grpo` with nothing but the `coef` of `kl`, because `rollout = \"exact\"` has no \
                          ratios, no tokens, no rollouts whose diversity counts, and no estimates";
            return Err(setting("objective", format!("{:?}", self.objective), needed));
        };
        ExactObjective::new(advantage, kl, self.entropy_bonus).map_err(|_| {
            let found = self.entropy_bonus.to_string();
            setting("entropy_bonus", found, "a finite number, at least 0")
        })
    }
}

fn refuse(field: &str, found: Option<String>, needed: &'static str) -> Result<(), TrainError> {
    found.map_or(Ok(()), |found| Err(setting(field, found, needed)))
}

fn setting(field: &str, found: String, needed: &'static str) -> TrainError {
    TrainError::Setting { field: format!("rl.{field}"), found, needed }
}
