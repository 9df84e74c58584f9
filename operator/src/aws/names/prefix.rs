//! The folder of a bucket.

use std::{fmt, str::FromStr};

use snafu::ensure;

use super::{InvalidValue, InvalidValueSnafu};

/// The folder of a bucket that a registry keeps to; empty for the whole bucket. No slash at either end.
///
/// `*`, `?` and `$` are refused: they would be wildcards and variables in the policy document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Without the slashes at its ends; empty for the whole bucket.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the whole bucket.
    #[must_use]
    pub fn is_whole_bucket(&self) -> bool {
        self.0.is_empty()
    }

    /// What every key below begins with: `team-a/`, or nothing for the whole bucket.
    #[must_use]
    pub fn key_start(&self) -> String {
        if self.0.is_empty() {
            String::new()
        } else {
            format!("{}/", self.0)
        }
    }

    /// Whether one of the two holds the other. Two registries may share a bucket only if not.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.key_start(), other.key_start());
        a.starts_with(&b) || b.starts_with(&a)
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidValue;

    /// Slashes at either end are dropped, as distribution does with its `rootdirectory`.
    fn from_str(value: &str) -> Result<Self, InvalidValue> {
        let text = value.trim_matches('/');
        let part_is_good = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "!-_.'()+=@".contains(c))
        };
        ensure!(
            text.is_empty() || (text.len() <= 256 && text.split('/').all(part_is_good)),
            InvalidValueSnafu {
                what: "a prefix",
                value,
                rule: "up to 256 letters, digits and ! - _ . ' ( ) + = @, in parts separated by single slashes, no part . or .."
            }
        );
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "team-a", true)]
    #[case("team-a", "team-a", true)]
    #[case("team-a", "team-a/images", true)]
    #[case("team-a", "team-ab", false)]
    #[case("team-a", "team-b", false)]
    fn prefixes_overlap_when_one_holds_the_other(
        #[case] one: &str,
        #[case] other: &str,
        #[case] overlaps: bool,
    ) {
        let (one, other): (KeyPrefix, KeyPrefix) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!(
            (one.overlaps(&other), other.overlaps(&one)),
            (overlaps, overlaps)
        );
    }

    #[rstest]
    #[case("a/*")]
    #[case("a//b")]
    #[case("../a")]
    #[case("${aws:username}")]
    #[case("a b")]
    fn a_prefix_has_no_wildcard_and_no_way_up(#[case] text: &str) {
        text.parse::<KeyPrefix>().unwrap_err();
    }
}
