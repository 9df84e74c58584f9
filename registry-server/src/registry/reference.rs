//! What a manifest can be asked for by: a tag or a digest.

use std::{fmt, str::FromStr};

use snafu::Snafu;

use super::digest::{Digest, InvalidDigest};

/// Longest tag, in bytes (OCI distribution specification, "Pulling manifests").
pub const MAX_TAG: usize = 128;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Without a slash and never beginning with a dot, so it is safe as part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// Why a tag was refused.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
#[snafu(display(
    "a tag has 1 to {MAX_TAG} letters, digits, '_', '.' or '-', and begins with none of the last two"
))]
pub struct InvalidTag;

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients keep the referrers of `subject` in a registry that does not list them itself (OCI distribution
    /// specification, "Referrers Tag Schema"): the algorithm and at most 64 digits, with a dash between.
    #[must_use]
    pub fn of_referrers(subject: &Digest) -> Self {
        let hex: String = subject.hex().chars().take(64).collect();
        Self(format!("{}-{hex}", subject.algorithm()))
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= MAX_TAG
            && text.bytes().next().is_some_and(word)
            && text
                .bytes()
                .all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTag)
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names a manifest within its repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A name that can be moved.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

/// Why a reference was refused.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
pub enum InvalidReference {
    /// It has a colon, so it is meant to be a digest, and is none.
    #[snafu(context(false), display("{source}"))]
    Digest {
        /// What is wrong with it.
        source: InvalidDigest,
    },
    /// It has no colon, so it is meant to be a tag, and is none.
    #[snafu(context(false), display("{source}"))]
    Tag {
        /// What is wrong with it.
        source: InvalidTag,
    },
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A tag has no colon, so there is only one way to read each text.
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::registry::Algorithm;

    #[rstest]
    #[case("latest")]
    #[case("_")]
    #[case("V1.2-rc.3_x")]
    fn a_tag_of_the_specification_is_accepted(#[case] tag: &str) {
        assert_eq!(
            tag.parse::<Tag>().map(|parsed| parsed.to_string()),
            Ok(tag.to_owned())
        );
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("-a")]
    #[case("a/b")]
    #[case("a b")]
    #[case("é")]
    fn a_tag_outside_the_specification_is_refused(#[case] tag: &str) {
        assert_eq!(tag.parse::<Tag>(), Err(InvalidTag));
    }

    #[test]
    fn a_tag_has_at_most_128_characters() {
        assert!("a".repeat(128).parse::<Tag>().is_ok());
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }

    #[test]
    fn a_bad_digest_is_not_taken_for_a_tag() {
        assert_eq!(
            "sha256:baddigest".parse::<Reference>(),
            Err(InvalidDigest::Length {
                algorithm: Algorithm::Sha256
            }
            .into())
        );
    }

    #[test]
    fn the_tag_of_referrers_is_a_tag_for_every_algorithm() {
        let tag = Tag::of_referrers(&Algorithm::Sha512.digest(b""));
        assert_eq!(tag.as_str().parse::<Tag>(), Ok(tag.clone()));
        assert_eq!(tag.as_str().len(), "sha512-".len() + 64);
    }

    proptest! {
        #[test]
        fn no_input_breaks_the_parser_and_what_is_accepted_is_unchanged(text in ".{0,140}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
