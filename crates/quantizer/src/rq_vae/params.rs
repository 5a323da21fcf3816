//! Settings of an RQ-VAE.

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};
use sidereal_sid::SidSpec;

use super::defaults;
use super::schedule::{CodebookSchedule, EarlyStop};
use crate::QuantizerError;

/// Settings of an RQ-VAE as a file or a caller spells them, unchecked.
///
/// [`fit`](linfa::traits::Fit::fit) checks them; [`ParamGuard::check`] does so earlier. As TOML,
/// every line but the first two may be left out:
///
/// ```toml
/// codebook_sizes = [256, 256, 256]
/// seed = 7
/// hidden = [512, 256, 128, 64]            # encoder, mirrored in the decoder
/// latent = 32
/// steps = 10000
/// schedule = { layer-wise = { steps_per_level = 1000 } }
/// sinkhorn_epsilons = [0, 0, 0.003]       # one for each level; 0: nearest code
/// early_stop = { metric = "collision-rate", patience = 5 }
/// device = "cuda"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Settings", into = "Settings")]
pub struct RqVaeParams(RqVaeValidParams);

/// Checked settings: holding them is the proof that every range holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RqVaeValidParams(Settings);

/// The settings as they are stored, and a setter of [`RqVaeParams`] for each, all with the same doc
/// comment, which the reference of recipes shows too.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ #[serde($($how:tt)+)] $name:ident: $stored:ty, from $kind:ty;)+) => {
        /// The settings as they are stored.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(super) struct Settings {
            /// Codes of each level, coarsest first.
            pub(super) codebook_sizes: Vec<usize>,
            /// Seed of every random choice.
            pub(super) seed: u64,
            $($(#[doc = $doc])+
            #[serde($($how)+)]
            pub(super) $name: $stored,)+
        }

        impl RqVaeParams {
            $($(#[doc = $doc])+
            #[must_use]
            #[allow(clippy::useless_conversion, reason = "some of the settings convert")]
            pub fn $name(mut self, $name: $kind) -> Self {
                self.0.0.$name = $name.into();
                self
            })+
        }
    };
}

settings! {
    /// Hidden widths of the encoder, mirrored in the decoder; an empty list makes both linear. Each
    /// width is in `1..`. Default 512, 256, 128, 64.
    #[serde(default = "defaults::hidden")]
    hidden: Vec<usize>, from impl Into<Vec<usize>>;
    /// Width `d` of the latent rows and the codebooks. Range `1..`. Default 32.
    #[serde(default = "defaults::latent")]
    latent: usize, from usize;
    /// Weight of the commitment terms, which pull encoded rows towards their codes. Range `0..`. Default
    /// 0.25.
    #[serde(default = "defaults::beta")]
    beta: f64, from f64;
    /// Weight of all codebook and commitment terms against the reconstruction. Range `0..`. Default 1.
    #[serde(default = "defaults::quantisation_weight")]
    quantisation_weight: f64, from f64;
    /// Learning rate of AdamW. Range `(0, ∞)`. Default 1e-3.
    #[serde(default = "defaults::learning_rate")]
    learning_rate: f64, from f64;
    /// Decoupled weight decay of all parameters. Range `0..`. Default 0.
    #[serde(default)]
    weight_decay: f64, from f64;
    /// Longest gradient; longer ones are scaled to this Euclidean norm. Range `(0, ∞)`. Default 1.
    #[serde(default = "defaults::clip_norm")]
    clip_norm: f64, from f64;
    /// Rows `B` of a step: whole batches only, in a new order each epoch, so the matrix needs at least as
    /// many rows. Range `1..`. Default 1,024.
    #[serde(default = "defaults::batch_size")]
    batch_size: usize, from usize;
    /// Steps of the training; a layer-wise schedule needs more than it takes for the last level to join.
    /// Range `1..`. Default 10,000.
    #[serde(default = "defaults::steps")]
    steps: usize, from usize;
    /// Steps between two evaluations. Range `1..`. Default 500.
    #[serde(default = "defaults::evaluate_every")]
    evaluate_every: usize, from usize;
    /// When each level's codebook joins the training. Default [`CodebookSchedule::Joint`].
    #[serde(default)]
    schedule: CodebookSchedule, from CodebookSchedule;
    /// Entropic regularisation of each level's balanced assignment while training, as a share of the
    /// batch's half range of squared distances: one value for each level, or none. 0 takes the nearest
    /// code; LC-Rec has 0.003 at the last level. Each value is in `0..`. Default none, which means 0 at
    /// all levels.
    #[serde(default)]
    sinkhorn_epsilons: Vec<f64>, from impl Into<Vec<f64>>;
    /// Iterations of each balanced assignment. Range `1..`. Default 50.
    #[serde(default = "defaults::sinkhorn_iterations")]
    sinkhorn_iterations: usize, from usize;
    /// A code that no row of so many steps had is moved to the latent residual of a random row of the
    /// batch; 0 never revives a code. Range `0..`. Default 20, in which batches of 1,024 show a code of
    /// 256 some 80 rows.
    #[serde(default = "defaults::revive_after")]
    revive_after: usize, from usize;
    /// Weight of the alignment with collaborative vectors: LETTER's α, 0.02 in its paper. Range `0..`.
    /// Default 0.
    #[serde(default)]
    alignment_weight: f64, from f64;
    /// Weight of the diversity of the codes: LETTER's β, 0.0001 in its paper. Range `0..`. Default 0.
    #[serde(default)]
    diversity_weight: f64, from f64;
    /// Clusters of codes among which the diversity finds its positives. Range `1..`. Default 10.
    #[serde(default = "defaults::diversity_clusters")]
    diversity_clusters: usize, from usize;
    /// When to stop before the last step; without it, never.
    #[serde(default)]
    early_stop: Option<EarlyStop>, from impl Into<Option<EarlyStop>>;
    /// Where tensors live: `cpu`, `cuda`, `cuda:N`, or `auto`, which is CUDA where there is one. Default
    /// `cpu`.
    #[serde(default = "defaults::device")]
    device: String, from impl Into<String>;
}

impl RqVaeParams {
    /// Settings for codebooks of these sizes, one for each level, coarsest first; the rest as the
    /// setters say.
    #[must_use]
    pub fn new(codebook_sizes: impl Into<Vec<usize>>, seed: u64) -> Self {
        Self(RqVaeValidParams(Settings {
            codebook_sizes: codebook_sizes.into(),
            seed,
            hidden: defaults::hidden(),
            latent: defaults::latent(),
            beta: defaults::beta(),
            quantisation_weight: defaults::quantisation_weight(),
            learning_rate: defaults::learning_rate(),
            weight_decay: 0.0,
            clip_norm: defaults::clip_norm(),
            batch_size: defaults::batch_size(),
            steps: defaults::steps(),
            evaluate_every: defaults::evaluate_every(),
            schedule: CodebookSchedule::default(),
            sinkhorn_epsilons: Vec::new(),
            sinkhorn_iterations: defaults::sinkhorn_iterations(),
            revive_after: defaults::revive_after(),
            alignment_weight: 0.0,
            diversity_weight: 0.0,
            diversity_clusters: defaults::diversity_clusters(),
            early_stop: None,
            device: defaults::device(),
        }))
    }
}

impl RqVaeValidParams {
    pub(super) const fn settings(&self) -> &Settings {
        &self.0
    }

    /// Number of codes of each level.
    #[must_use]
    pub fn codebook_sizes(&self) -> &[usize] {
        &self.0.codebook_sizes
    }

    /// Seed of every random choice.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Width `d` of the latent rows.
    #[must_use]
    pub const fn latent(&self) -> usize {
        self.0.latent
    }

    /// Steps of the training.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.0.steps
    }
}

impl ParamGuard for RqVaeParams {
    type Checked = RqVaeValidParams;
    type Error = QuantizerError;

    fn check_ref(&self) -> Result<&RqVaeValidParams, QuantizerError> {
        let settings = &self.0.0;
        SidSpec::new(settings.codebook_sizes.clone(), 0)?;
        settings.check_counts()?;
        settings.check_factors()?;
        settings.check_levels()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<RqVaeValidParams, QuantizerError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl From<Settings> for RqVaeParams {
    fn from(settings: Settings) -> Self {
        Self(RqVaeValidParams(settings))
    }
}

impl From<RqVaeParams> for Settings {
    fn from(params: RqVaeParams) -> Self {
        params.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rq_vae::schedule::StopMetric;

    fn params() -> RqVaeParams {
        RqVaeParams::new([4, 4], 0)
    }

    #[test]
    fn ranges_are_checked() {
        assert!(params().check().is_ok());
        assert!(matches!(RqVaeParams::new([], 0).check(), Err(QuantizerError::Sizes(_))));
        let early = |patience| EarlyStop { metric: StopMetric::Reconstruction, patience };
        let layer_wise = |steps_per_level| CodebookSchedule::LayerWise { steps_per_level };
        for (wrong, named) in [
            (params().hidden([8, 0]), "hidden"),
            (params().latent(0), "latent"),
            (params().beta(f64::NAN), "beta"),
            (params().learning_rate(0.0), "learning_rate"),
            (params().clip_norm(f64::INFINITY), "clip_norm"),
            (params().batch_size(0), "batch_size"),
            (params().sinkhorn_epsilons([0.1]), "sinkhorn_epsilons"),
            (params().sinkhorn_epsilons([0.0, -0.1]), "sinkhorn_epsilons"),
            (params().early_stop(early(0)), "early_stop.patience"),
            (params().schedule(layer_wise(0)), "schedule.steps_per_level"),
            (params().schedule(layer_wise(100)).steps(100), "steps"),
        ] {
            match wrong.check() {
                Err(QuantizerError::Setting { setting, .. }) => assert_eq!(setting, named),
                other => panic!("{named}: {other:?}"),
            }
        }
        assert!(params().schedule(layer_wise(100)).steps(101).check().is_ok());
    }

    #[test]
    fn settings_survive_json_and_a_misspelt_one_is_refused() {
        let params = params().schedule(CodebookSchedule::LayerWise { steps_per_level: 9 });
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<RqVaeParams>(&text).unwrap(), params);
        let short = r#"{"codebook_sizes":[4,4],"seed":0}"#;
        assert_eq!(
            serde_json::from_str::<RqVaeParams>(short).unwrap(),
            RqVaeParams::new([4, 4], 0)
        );
        let wrong = r#"{"codebook_sizes":[4,4],"seed":0,"batchsize":2}"#;
        assert!(serde_json::from_str::<RqVaeParams>(wrong).is_err());
    }

    #[test]
    fn a_level_joins_every_so_many_steps() {
        let settings = Settings::from(
            RqVaeParams::new([4, 4, 4], 0)
                .schedule(CodebookSchedule::LayerWise { steps_per_level: 10 }),
        );
        let active = [0, 9, 10, 19, 20, 99].map(|step| settings.active_levels(step));
        assert_eq!(active, [1, 1, 2, 2, 3, 3]);
    }
}
