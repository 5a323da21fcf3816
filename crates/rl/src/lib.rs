//! Rewards, advantages and surrogate objectives for policies that generate Semantic IDs, on plain
//! slices, for any tensor library or none.
//!
//! An objective returns its value **and** its derivative with respect to the new log-probs. A trainer
//! computes log-probs with its own tensor library, copies them out, calls this crate, and minimises
//! `-(logp * d_logp).sum()`. So each formula exists only once and is tested without a model, and
//! several trainers can use the same crate. It has no models, no optimisers and no decoding.
//!
//! ```
//! use sidereal_rl::{Group, Grpo, RolloutBatch, Segments, Singer, StepSize, ZScore, score_groups};
//! use sidereal_sid::SemanticId;
//!
//! // One prompt, its answer, and a group of three rollouts of two codes each.
//! let target = SemanticId::from([3, 1]);
//! let rollouts = [SemanticId::from([3, 0]), SemanticId::from([3, 1]), SemanticId::from([0, 0])];
//! let scores = score_groups(&Singer::default(), [Group::new(&target, &rollouts)])?;
//!
//! let advantages = ZScore::default().advantages(&scores.rewards, &scores.groups)?;
//! assert!(advantages.flat_groups.is_empty());
//!
//! let tokens = Segments::uniform(3, 2);
//! let logp = [-0.2, -0.9, -0.2, -1.1, -1.6, -0.3]; // from the policy, on-policy here
//! let batch = RolloutBatch::new(&tokens, &logp, &logp, &advantages.values)?;
//! let objective = Grpo::default().objective(&batch, StepSize::of(&tokens))?;
//! assert!(objective.d_logp[0] < 0.0 && objective.d_logp[2] > 0.0); // the hit is pushed up
//! # Ok::<(), sidereal_rl::RlError>(())
//! ```
//!
//! | step | items |
//! |---|---|
//! | rollouts | [`Group`], [`Slates`], [`Segments`] (ragged arrays), [`find_sid`] |
//! | rewards | [`Reward`] and closures; [`Accuracy`], [`RankReward`], [`SidLevel`], [`Singer`], [`Stepwise`], [`Legal`], [`ResidualSensitive`]; [`Behaviour`] over [`LaterChoice`]s; [`Objectives`]; [`TaggedFormat`], [`OverlongPenalty`], [`TextReward`]; [`FusedReward`] of a rank and a share; [`score_groups`] |
//! | advantages | [`AdvantageEstimator`] and closures over a [`RewardBatch`]; [`ZScore`], [`MeanOnly`], [`LeaveOneOut`], [`Srpo`], [`Decoupled`] |
//! | objectives | [`PolicyObjective`] and closures over a [`RolloutBatch`]; [`Grpo`] (also Dr. GRPO, DAPO), [`Gspo`], [`Gbpo`], [`Sage`], or any as [`Surrogate`]; [`Kl`], [`entropy_bonus`]; [`token_objective`], [`rollout_objective`] for a formula of your own |
//! | exact | [`AllAnswers`]: expected reward, entropy and KL where all probabilities are known; [`ExactObjective`] |
//! | preferences | [`Sdpo`] (also DPO and reference-free) |
//! | curricula | [`PrefixSchedule`], [`VarianceGuidedSampling`], [`distinct_first`], [`select_distinct`], [`RunningDiversity`] |
//! | tests | `strategies` and `laws` (feature `proptest`) |
//!
//! # Conventions
//! `B` groups (prompts) of `G` rollouts, `R` rollouts in all, `N` tokens in all, `L` levels; arrays are
//! flat, the rollouts of a group and the tokens of a rollout adjacent, and [`Segments`] says where
//! they begin. Groups and rollouts may be of any size, also empty. `ℓ` is the length of the common
//! prefix with the target. Log-probs and entropies are in nats. Surrogate objectives are maximised,
//! preference losses minimised. Averages are over the whole optimiser step, whose size is an argument
//! ([`StepSize`]): the shares of its micro-batches add up.
//!
//! Whatever the input floats, a function returns finite results or an [`RlError`] that names the
//! group, rollout or token. Only [`Diagnostics`] may hold infinities.
//!
//! # References
//! GRPO [arXiv:2402.03300](https://arxiv.org/abs/2402.03300), Dr. GRPO
//! [arXiv:2503.20783](https://arxiv.org/abs/2503.20783), DAPO
//! [arXiv:2503.14476](https://arxiv.org/abs/2503.14476), GSPO
//! [arXiv:2507.18071](https://arxiv.org/abs/2507.18071), GBPO
//! [arXiv:2508.20900](https://arxiv.org/abs/2508.20900), RLOO
//! [arXiv:2402.14740](https://arxiv.org/abs/2402.14740), DPO
//! [arXiv:2305.18290](https://arxiv.org/abs/2305.18290), S-DPO
//! [arXiv:2406.09215](https://arxiv.org/abs/2406.09215); SINGER, SIDReasoner, GREAM (SRPO) and SAGE by
//! their equation numbers.
//!
//! # Features
//! - `proptest`: the modules `strategies` and `laws`, for property tests of rewards, advantage
//!   estimators and objectives of your own.

mod advantage;
mod curriculum;
mod error;
mod exact;
mod group;
mod later_choice;
#[cfg(feature = "proptest")]
pub mod laws;
mod preference;
mod reward;
mod segments;
#[cfg(feature = "proptest")]
pub mod strategies;
mod surrogate;

pub use error::RlError;
pub use group::{Group, Slates};
pub use later_choice::LaterChoice;
pub use segments::Segments;

pub use reward::{
    Accuracy, Behaviour, ByHardness, Clipped, FusedReward, Legal, Named, ObjectiveScores,
    Objectives, OverlongPenalty, RankReward, ResidualSensitive, Reward, RewardPart, Scores,
    SidLevel, Singer, Stepwise, Sum, TaggedFormat, TextReward, Weighted, find_sid, score_groups,
};

pub use advantage::{
    AdvantageEstimator, Advantages, Decoupled, LeaveOneOut, MeanOnly, RewardBatch, Srpo, SrpoBonus,
    ZScore, decoupled_advantages, is_flat, leave_one_out_advantages, mean_only_advantages,
};

pub use surrogate::{
    Bound, Clip, Diagnostics, Diversities, EntropyBonus, Gbpo, Grpo, Gspo, Kl, KlEstimator,
    Normalise, Objective, PolicyObjective, RolloutBatch, RolloutView, Sage, StepSize, Surrogate,
    Term, Token, entropy_bonus, rollout_objective, token_objective,
};

pub use exact::{AllAnswers, ExactAdvantage, ExactObjective, ExactTerms, Expected};

pub use preference::{PreferenceBatch, PreferenceLoss, Sdpo};

pub use curriculum::{
    PrefixCap, PrefixSchedule, RunningDiversity, VarianceGuidedSampling, distinct_first,
    select_distinct,
};
