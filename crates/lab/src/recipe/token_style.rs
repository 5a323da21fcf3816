//! How codes are written as tokens: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_sid::TokenStyle;

use crate::error::LabError;

/// How codes are written as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenStyleConfig {
    /// `<a_12><b_5>`, as in MiniOneRec, LC-Rec and LETTER.
    MiniOneRec,
    /// `<s_a_12><s_b_5>` between `<|sid_begin|>` and `<|sid_end|>`, as in OpenOneRec.
    OpenOneRec,
    /// A template of one's own.
    Template(StyleTemplate),
}

/// A template for the token of a code, and marks around the codes of a Semantic ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StyleTemplate {
    /// One token: a text with `{level}`, the letter of the level, and then `{code}`, the number of the code,
    /// such as `[{level}:{code}]`.
    pub token: String,
    /// The token before the first code and the one after the last. Without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<[String; 2]>,
}

impl TokenStyleConfig {
    /// The style.
    ///
    /// # Errors
    /// [`LabError::Notation`] for a template in which tokens could be read in more than one way.
    pub fn style(&self) -> Result<TokenStyle, LabError> {
        Ok(match self {
            Self::MiniOneRec => TokenStyle::default(),
            Self::OpenOneRec => TokenStyle::open_one_rec(),
            Self::Template(StyleTemplate { token, marks }) => {
                let style = TokenStyle::new(token)?;
                match marks {
                    Some([begin, end]) => style.with_marks(begin, end)?,
                    None => style,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        token_style: TokenStyleConfig,
    }

    #[test]
    fn a_style_is_a_name_or_a_template() {
        for (text, shown) in [
            ("token_style = 'mini-one-rec'", "<{level}_{code}>"),
            ("token_style = 'open-one-rec'", "<|sid_begin|><s_{level}_{code}><|sid_end|>"),
            ("token_style.template.token = '[{level}:{code}]'", "[{level}:{code}]"),
            (
                "[token_style.template]\ntoken = '[{level}:{code}]'\nmarks = ['(', ')']",
                "([{level}:{code}])",
            ),
        ] {
            let read: Table = toml::from_str(text).unwrap();
            assert_eq!(read.token_style.style().unwrap().to_string(), shown);
            let written = toml::to_string(&read).unwrap();
            assert_eq!(toml::from_str::<Table>(&written).unwrap(), read, "{written}");
        }
        let ambiguous: Table =
            toml::from_str("token_style.template.token = '{level}{code}'").unwrap();
        let error = ambiguous.token_style.style().unwrap_err().to_string();
        assert!(error.contains("the token style `{level}{code}`"), "{error}");
        let error = toml::from_str::<Table>("token_style = 'one-rec'").unwrap_err().to_string();
        assert!(error.contains("`mini-one-rec`"), "{error}");
    }
}
