//! How Semantic IDs are made of item vectors: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_quantizer::{Balance, Collisions, Init};

use crate::error::LabError;
use crate::recipe::embed::EmbedConfig;
use crate::recipe::hierarchical::HierarchicalConfig;
use crate::recipe::linfa_kmeans::LinfaKMeansConfig;
use crate::recipe::rq_kmeans::RqKMeansConfig;
use crate::recipe::rq_vae::{LetterConfig, RqVaeConfig};
use crate::recipe::spectral::SpectralConfig;
use crate::recipe::two_streams::TwoStreamsConfig;

/// How Semantic IDs are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawSids", into = "RawSids")]
pub struct SidConfig {
    /// Codes of each level.
    pub codebook_sizes: Vec<usize>,
    /// The method that makes the codes.
    pub method: SidMethod,
    /// What items with the same codes get.
    pub collisions: Collisions,
}

/// The method that makes the codes of item vectors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SidMethod {
    /// Residual k-means.
    RqKMeans(RqKMeansConfig),
    /// Residual quantisation whose levels are linfa's k-means.
    LinfaKMeans(LinfaKMeansConfig),
    /// Clusters within clusters, then a number of its own for every item.
    Hierarchical(HierarchicalConfig),
    /// Clusters of items that the same users chose, within clusters, then a number of its own for every item.
    Spectral(SpectralConfig),
    /// Clusters of what items are, then clusters of who chooses them, each with a number of its own for every item.
    TwoStreams(TwoStreamsConfig),
    /// An autoencoder whose latent vectors are quantised.
    RqVae(RqVaeConfig),
    /// The same, aligned with collaborative vectors and with codes that are used evenly.
    Letter(LetterConfig),
}

impl SidMethod {
    /// Its name in a recipe.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::RqKMeans(_) => "rq-kmeans",
            Self::LinfaKMeans(_) => "linfa-kmeans",
            Self::Hierarchical(_) => "hierarchical",
            Self::Spectral(_) => "spectral",
            Self::TwoStreams(_) => "two-streams",
            Self::RqVae(_) => "rq-vae",
            Self::Letter(_) => "letter",
        }
    }

    /// Whether another seed makes other Semantic IDs of the same quality in little time: several trees.
    /// Spectral clusters do not depend on the seed.
    pub(crate) const fn makes_trees(&self) -> bool {
        !matches!(self, Self::Spectral(_) | Self::RqVae(_) | Self::Letter(_))
    }
}

impl SidConfig {
    /// How many codes of a Semantic ID, from the first on, say what an item is. A slot, a suffix and the leaf number
    /// of a hierarchy only tell items apart; of two streams, the codes of the second come after such a number.
    pub(crate) const fn num_levels(&self) -> usize {
        self.codebook_sizes.len()
    }

    /// Accepts settings with which codes can be made.
    fn check(&self) -> Result<(), LabError> {
        let sizes = &self.codebook_sizes;
        match &self.method {
            SidMethod::RqKMeans(config) => config.check(sizes),
            SidMethod::LinfaKMeans(config) => config.check(sizes),
            SidMethod::Hierarchical(config) => {
                self.without_collisions().and_then(|()| config.check(sizes))
            }
            SidMethod::Spectral(config) => {
                self.without_collisions().and_then(|()| config.check(sizes))
            }
            SidMethod::TwoStreams(config) => {
                self.without_collisions().and_then(|()| config.check())
            }
            SidMethod::RqVae(config) => config.check(sizes),
            SidMethod::Letter(config) => config.check(sizes),
        }
    }
}

impl SidConfig {
    /// Refuses a way to tell items apart that share their codes, of which the method makes none.
    fn without_collisions(&self) -> Result<(), LabError> {
        if self.collisions == Collisions::Suffix {
            return Ok(());
        }
        let (field, found) = ("sids.collisions".to_owned(), format!("{:?}", self.collisions));
        let needed = "left out: a hierarchy gives every item a Semantic ID of its own";
        Err(LabError::Setting { field, found, needed })
    }
}

/// Refuses Semantic IDs without item vectors, and vectors without Semantic IDs where nothing else uses them: a
/// policy that reads items reads their texts.
pub(crate) fn check(
    embed: Option<&EmbedConfig>,
    sids: Option<&SidConfig>,
    reads_items: bool,
) -> Result<(), LabError> {
    let found = match (embed, sids) {
        (Some(embed), Some(sids)) => return embed.check().and_then(|()| sids.check()),
        (Some(embed), None) if reads_items => return embed.check(),
        (None, None) => return Ok(()),
        (Some(_), None) => "`embed` alone",
        (None, Some(_)) => "`sids` alone",
    };
    let (field, found) = ("sids".to_owned(), found.to_owned());
    Err(LabError::Setting { field, found, needed: "both `[embed]` and `[sids]`, or neither" })
}

/// Semantic IDs as a recipe spells them: the settings of residual k-means stand in `[sids]` itself, those
/// of another method in a table of its name.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawSids {
    /// Codes of each level, coarsest first; each number is in `1..=65536`.
    codebook_sizes: Vec<usize>,
    /// Most iterations of k-means a level; without it 100. Of the method `rq-kmeans` alone, as are the
    /// others that this table has beside `method` and `collisions`. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    iterations: Option<usize>,
    /// Starts of k-means a level, of which the best stays; without it 1. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<usize>,
    /// Whether the codes of a level are used evenly; without it `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Balance>,
    /// The movement of the centroids at which k-means ends, as a share of the mean variance of the columns;
    /// without it 0.0001. Range `[0, ∞)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    /// How k-means chooses its first centroids; without it `k-means-plus-plus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<Init>,
    /// Rows that the centroids of a level are fitted to, for each code; without it all. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rows_per_code: Option<usize>,
    /// What makes the codes.
    #[schemars(extend("default" = "rq-kmeans"))]
    #[serde(default, skip_serializing_if = "MethodName::is_default")]
    method: MethodName,
    /// What becomes of items that share all their codes.
    #[schemars(extend("default" = "suffix"))]
    #[serde(default = "suffix", skip_serializing_if = "is_suffix")]
    collisions: Collisions,
    /// Settings of the method `linfa-kmeans`.
    #[serde(rename = "linfa-kmeans", skip_serializing_if = "Option::is_none")]
    linfa_kmeans: Option<LinfaKMeansConfig>,
    /// Settings of the method `hierarchical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchical: Option<HierarchicalConfig>,
    /// Settings of the method `spectral`.
    #[serde(skip_serializing_if = "Option::is_none")]
    spectral: Option<SpectralConfig>,
    /// Settings of the method `two-streams`.
    #[serde(rename = "two-streams", skip_serializing_if = "Option::is_none")]
    two_streams: Option<TwoStreamsConfig>,
    /// Settings of the method `rq-vae`.
    #[serde(rename = "rq-vae", skip_serializing_if = "Option::is_none")]
    rq_vae: Option<RqVaeConfig>,
    /// Settings of the method `letter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<LetterConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum MethodName {
    /// Residual k-means of the item vectors.
    #[default]
    RqKmeans,
    /// Residual quantisation whose levels are linfa's k-means.
    LinfaKmeans,
    /// Clusters within clusters, then a number of its own for every item.
    Hierarchical,
    /// Clusters of items that the same users chose, within clusters, then a number of its own for every item.
    Spectral,
    /// Clusters of what items are, then clusters of who chooses them: `codebook_sizes` are those of one stream, and
    /// each stream ends with a number that tells the items of a cluster apart.
    TwoStreams,
    /// Residuals in the latent space of an autoencoder.
    RqVae,
    /// The same, aligned with collaborative vectors and with codes that are used evenly.
    Letter,
}

impl MethodName {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

const fn suffix() -> Collisions {
    Collisions::Suffix
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_suffix(collisions: &Collisions) -> bool {
    *collisions == Collisions::Suffix
}

impl TryFrom<RawSids> for SidConfig {
    type Error = String;

    fn try_from(raw: RawSids) -> Result<Self, String> {
        let of_kmeans = [
            ("iterations", raw.iterations.is_some()),
            ("restarts", raw.restarts.is_some()),
            ("balance", raw.balance.is_some()),
            ("tolerance", raw.tolerance.is_some()),
            ("init", raw.init.is_some()),
            ("max_rows_per_code", raw.max_rows_per_code.is_some()),
        ];
        let tables = [
            (MethodName::LinfaKmeans, "linfa-kmeans", raw.linfa_kmeans.is_some()),
            (MethodName::Hierarchical, "hierarchical", raw.hierarchical.is_some()),
            (MethodName::Spectral, "spectral", raw.spectral.is_some()),
            (MethodName::TwoStreams, "two-streams", raw.two_streams.is_some()),
            (MethodName::RqVae, "rq-vae", raw.rq_vae.is_some()),
            (MethodName::Letter, "letter", raw.letter.is_some()),
        ];
        let of_others = tables.into_iter().filter(|(method, ..)| *method != raw.method);
        let of_others = of_others.map(|(_, key, is_there)| (key, is_there));
        let is_kmeans = raw.method == MethodName::RqKmeans;
        let mut foreign = of_kmeans.into_iter().filter(|_| !is_kmeans).chain(of_others);
        let usual = RqKMeansConfig::default();
        let method = match raw.method {
            MethodName::RqKmeans => SidMethod::RqKMeans(RqKMeansConfig {
                iterations: raw.iterations.unwrap_or(usual.iterations),
                restarts: raw.restarts.unwrap_or(usual.restarts),
                balance: raw.balance.unwrap_or(usual.balance),
                tolerance: raw.tolerance.unwrap_or(usual.tolerance),
                init: raw.init.unwrap_or(usual.init),
                max_rows_per_code: raw.max_rows_per_code,
            }),
            MethodName::LinfaKmeans => SidMethod::LinfaKMeans(raw.linfa_kmeans.unwrap_or_default()),
            MethodName::Hierarchical => {
                SidMethod::Hierarchical(raw.hierarchical.unwrap_or_default())
            }
            MethodName::Spectral => SidMethod::Spectral(raw.spectral.unwrap_or_default()),
            MethodName::TwoStreams => SidMethod::TwoStreams(raw.two_streams.unwrap_or_default()),
            MethodName::RqVae => SidMethod::RqVae(raw.rq_vae.unwrap_or_default()),
            MethodName::Letter => SidMethod::Letter(raw.letter.unwrap_or_default()),
        };
        if let Some((key, _)) = foreign.find(|(_, is_there)| *is_there) {
            let name = method.name();
            return Err(format!(
                "`{key}` is a setting of another method than `{name}`: leave it out, or choose its \
                 method with `method`"
            ));
        }
        let (codebook_sizes, collisions) = (raw.codebook_sizes, raw.collisions);
        Ok(Self { codebook_sizes, method, collisions })
    }
}

impl From<SidConfig> for RawSids {
    fn from(config: SidConfig) -> Self {
        let SidConfig { codebook_sizes, method, collisions } = config;
        let mut raw = Self {
            codebook_sizes,
            iterations: None,
            restarts: None,
            balance: None,
            tolerance: None,
            init: None,
            max_rows_per_code: None,
            method: MethodName::RqKmeans,
            collisions,
            linfa_kmeans: None,
            hierarchical: None,
            spectral: None,
            two_streams: None,
            rq_vae: None,
            letter: None,
        };
        match method {
            SidMethod::RqKMeans(own) => {
                let usual = RqKMeansConfig::default();
                raw.iterations = Some(own.iterations);
                raw.restarts = Some(own.restarts);
                raw.balance = Some(own.balance);
                // Earlier versions did not have these keys.
                raw.tolerance =
                    Some(own.tolerance).filter(|own| own.total_cmp(&usual.tolerance).is_ne());
                raw.init = Some(own.init).filter(|own| *own != usual.init);
                raw.max_rows_per_code = own.max_rows_per_code;
            }
            SidMethod::LinfaKMeans(own) => {
                (raw.method, raw.linfa_kmeans) = (MethodName::LinfaKmeans, Some(own));
            }
            SidMethod::Hierarchical(own) => {
                (raw.method, raw.hierarchical) = (MethodName::Hierarchical, Some(own));
            }
            SidMethod::Spectral(own) => {
                (raw.method, raw.spectral) = (MethodName::Spectral, Some(own));
            }
            SidMethod::TwoStreams(own) => {
                (raw.method, raw.two_streams) = (MethodName::TwoStreams, Some(own));
            }
            SidMethod::RqVae(own) => {
                (raw.method, raw.rq_vae) = (MethodName::RqVae, Some(own));
            }
            SidMethod::Letter(own) => {
                (raw.method, raw.letter) = (MethodName::Letter, Some(own));
            }
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<SidConfig, String> {
        let config: SidConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SidConfig>(&written).unwrap(), config, "{written}");
        Ok(config)
    }

    #[test]
    fn recipes_of_earlier_versions_are_written_as_they_were() {
        let old = "codebook_sizes = [4, 4]\niterations = 50\nrestarts = 1\nbalance = \"none\"\n";
        let config = parsed(old).unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), old);
        // What stands for settings among the inputs of a part is a hash of this.
        let json = r#"{"codebook_sizes":[4,4],"iterations":50,"restarts":1,"balance":"none"}"#;
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
        assert_eq!(config.collisions, Collisions::Suffix);
        let short = parsed("codebook_sizes = [4, 4]").unwrap();
        assert_eq!(short.method, SidMethod::RqKMeans(RqKMeansConfig::default()));
    }

    #[test]
    fn each_method_has_a_table_of_its_own() {
        let text = "codebook_sizes = [4, 4]\nmethod = 'rq-vae'\ncollisions = 'slot'\n\
            [rq-vae]\nlatent = 8\n";
        let config = parsed(text).unwrap();
        assert_eq!((config.method.name(), config.collisions), ("rq-vae", Collisions::Slot));
        // The slot is no level.
        assert_eq!(config.num_levels(), 2);
        let usual = parsed("codebook_sizes = [4, 4]\nmethod = 'letter'").unwrap();
        assert_eq!(usual.method, SidMethod::Letter(LetterConfig::default()));
        let linfa = parsed(
            "codebook_sizes = [4, 4]\nmethod = 'linfa-kmeans'\n[linfa-kmeans]\nrestarts = 2",
        );
        assert_eq!(linfa.unwrap().method.name(), "linfa-kmeans");
        for (settings, named) in [
            ("method = 'rq-vae'\niterations = 3", "`iterations` is a setting of another method"),
            ("[letter]", "`letter` is a setting of another method than `rq-kmeans`"),
            ("method = 'rq-vae'\n[letter]", "`letter` is a setting of another method"),
            ("method = 'rq-vae'\n[rq-vae]\nlatnt = 8", "unknown field `latnt`"),
            ("method = 'rq-vae'\n[rq-vae]\nlatent = 'few'", "`latent`"),
            ("method = 'rq-vae'\n[rq-vae]\nseed = 8", "`seed`"),
            ("method = 'rq-vae'\n[rq-vae]\nlatent = 0", "`sids.rq-vae.latent` is 0"),
            ("method = 'rq-vae'\n[rq-vae]\nalignment_weight = 0.5", "sids.rq-vae.alignment_weight"),
            ("method = 'letter'\n[letter]\nalignment_weight = 0", "sids.letter.alignment_weight"),
            ("method = 'linfa-kmeans'\nbalance = 'none'", "`balance` is a setting of another"),
            ("method = 'linfa-kmeans'\n[rq-vae]", "`rq-vae` is a setting of another method"),
            ("method = 'linfa-kmeans'\n[linfa-kmeans]\nruns = 2", "unknown field `runs`"),
            (
                "method = 'linfa-kmeans'\n[linfa-kmeans]\nrestarts = 0",
                "`sids.linfa-kmeans.restarts` is 0",
            ),
            (
                "method = 'linfa-kmeans'\n[linfa-kmeans]\ntolerance = 0.0",
                "`sids.linfa-kmeans.tolerance` is 0",
            ),
            ("method = 'spectral'\n[spectral]\nlargest = 0", "`sids.spectral.largest` is 0"),
            (
                "method = 'spectral'\n[spectral]\nregulariser = -1.0",
                "`sids.spectral.regulariser` is -1",
            ),
            ("method = 'spectral'\ncollisions = 'slot'", "`sids.collisions` is Slot"),
            ("method = 'two-streams'\ncollisions = 'slot'", "`sids.collisions` is Slot"),
            (
                "method = 'two-streams'\n[two-streams]\ncapacity = 0.5",
                "`sids.two-streams.capacity` is 0.5",
            ),
            (
                "method = 'two-streams'\n[two-streams]\niterations = 0",
                "`sids.two-streams.iterations` is 0",
            ),
            ("iterations = 0", "`sids.iterations` is 0"),
            ("tolerance = -1.0", "`sids.tolerance` is -1"),
            ("max_rows_per_code = 0", "`sids.max_rows_per_code` is 0"),
            ("method = 'opq'", "unknown variant `opq`"),
            ("collisions = 'drop'", "unknown variant `drop`"),
        ] {
            let error = parsed(&format!("codebook_sizes = [4, 4]\n{settings}\n")).unwrap_err();
            assert!(error.contains(named), "{settings}: {error}");
        }
    }
}
