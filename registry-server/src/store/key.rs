//! Names of objects, checked where they are made, so that no store has to ask again whether one is safe.

use std::{borrow::Borrow, fmt, str::FromStr};

use snafu::{Snafu, ensure};

/// The longest key S3 takes, in bytes (S3 user guide, "Naming Amazon S3 objects").
const MAX_LENGTH: usize = 1024;

/// The name of an object, from the store's root. Compared as bytes.
///
/// What is true of every key:
/// - 1 to 1,024 bytes of UTF-8;
/// - segments separated by `/`, none of them empty, `.` or `..`, so that a key never begins or ends with `/` and, as a
///   path, never leaves its root;
/// - no control character and no `\`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// What the keys of a listing begin with, from the store's root; empty for all of them. Compared as bytes.
///
/// As a [`Key`], but it may be empty, may end in `/`, and its last segment may be the beginning of a longer one: keys
/// below `a/b` are `a/b/c` and also `a/bc`. To stay inside a "folder", end it in `/`.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

/// Why a string is not a [`Key`] or a [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
pub enum InvalidKey {
    /// Nothing in it.
    #[snafu(display("a key is empty"))]
    Empty,
    /// Longer than any store takes.
    #[snafu(display("a key of {length} bytes is longer than {MAX_LENGTH}"))]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// `//`, or `/` at one of its ends.
    #[snafu(display("key {key:?} has an empty segment"))]
    EmptySegment {
        /// The string.
        key: String,
    },
    /// `.` or `..` between slashes.
    #[snafu(display("key {key:?} has a segment that is \".\" or \"..\""))]
    DotSegment {
        /// The string.
        key: String,
    },
    /// A control character or a backslash.
    #[snafu(display("key {key:?} has the character {character:?}"))]
    Character {
        /// The string.
        key: String,
        /// The first such character.
        character: char,
    },
}

impl Key {
    /// `key`, checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidKey> {
        let key = key.into();
        ensure!(!key.is_empty(), EmptySnafu);
        check(&key, &key)?;
        Ok(Self(key))
    }

    /// The key as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, at least one.
    #[must_use = "iterators are lazy"]
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// What follows `prefix` in this key, if it begins with it.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Prefix) -> Option<&str> {
        self.0.strip_prefix(prefix.as_str())
    }
}

impl Prefix {
    /// `prefix`, checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(prefix: impl Into<String>) -> Result<Self, InvalidKey> {
        let prefix = prefix.into();
        let folder = prefix.strip_suffix('/').unwrap_or(&prefix);
        if !prefix.is_empty() {
            check(folder, &prefix)?;
        }
        Ok(Self(prefix))
    }

    /// The prefix of every key.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// The prefix as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key made of this prefix and `rest`.
    ///
    /// # Errors
    /// When the two together are not a key.
    pub fn key(&self, rest: &str) -> Result<Key, InvalidKey> {
        Key::new(format!("{}{rest}", self.0))
    }

    /// What follows `prefix` in this one, if it begins with it: the name of a folder, `/` included, in a shallow listing.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Prefix) -> Option<&str> {
        self.0.strip_prefix(prefix.as_str())
    }
}

/// `segments` is what has to consist of good segments; `whole` is what an error shows.
fn check(segments: &str, whole: &str) -> Result<(), InvalidKey> {
    ensure!(
        whole.len() <= MAX_LENGTH,
        TooLongSnafu {
            length: whole.len()
        }
    );
    if let Some(character) = whole
        .chars()
        .find(|character| character.is_control() || *character == '\\')
    {
        return CharacterSnafu {
            key: whole,
            character,
        }
        .fail();
    }
    for segment in segments.split('/') {
        ensure!(!segment.is_empty(), EmptySegmentSnafu { key: whole });
        ensure!(
            segment != "." && segment != "..",
            DotSegmentSnafu { key: whole }
        );
    }
    Ok(())
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidKey;

            fn from_str(text: &str) -> Result<Self, InvalidKey> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidKey;

            fn try_from(text: String) -> Result<Self, InvalidKey> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

as_text!(Key);
as_text!(Prefix);

/// Sound because both are ordered and hashed as bytes.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one_segment("a")]
    #[case::what_s3_calls_special("a b/+&@:,$=;?!*'()%25/ü/日本語")]
    #[case::dots_in_a_name("..a/b../.../.hidden")]
    fn a_key_that_stays_below_its_root_is_taken(#[case] text: &str) {
        assert_eq!(Key::new(text).expect("a key").as_str(), text);
    }

    #[rstest]
    #[case::empty("")]
    #[case::absolute("/etc/passwd")]
    #[case::folder("a/")]
    #[case::double_slash("a//b")]
    #[case::dot("a/./b")]
    #[case::up("a/../b")]
    #[case::up_at_the_end("a/..")]
    #[case::nul("a\0b")]
    #[case::newline("a\nb")]
    #[case::next_line("a\u{85}b")]
    #[case::backslash("a\\..\\b")]
    fn a_key_that_could_mean_another_place_is_refused(#[case] text: &str) {
        assert!(Key::new(text).is_err());
    }

    #[test]
    fn a_key_has_at_most_1024_bytes() {
        assert!(Key::new("a".repeat(1024)).is_ok());
        assert_eq!(
            Key::new("a".repeat(1025)),
            Err(InvalidKey::TooLong { length: 1025 })
        );
    }

    #[rstest]
    #[case::everything("", true)]
    #[case::folder("a/b/", true)]
    #[case::beginning_of_a_name("a/b", true)]
    #[case::only_a_slash("/", false)]
    #[case::double_slash("a//", false)]
    #[case::up("../", false)]
    fn a_prefix_may_be_empty_or_end_in_a_slash(#[case] text: &str, #[case] taken: bool) {
        assert_eq!(Prefix::new(text).is_ok(), taken);
    }

    #[test]
    fn a_key_out_of_a_file_is_checked_too() {
        assert!(serde_json::from_str::<Key>(r#""a/../b""#).is_err());
        assert_eq!(
            serde_json::to_string(&Key::new("a/b").expect("a key")).expect("json"),
            r#""a/b""#
        );
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes(a in "[a-c/.-]{1,6}", b in "[a-c/.-]{1,6}") {
            if let (Ok(x), Ok(y)) = (Key::new(a.clone()), Key::new(b.clone())) {
                prop_assert_eq!(x.cmp(&y), a.as_bytes().cmp(b.as_bytes()));
            }
        }
    }
}
