//! Names of repositories: parsed once, at the edge, so that no other code can see a bad one.

use std::{fmt, str::FromStr};

use snafu::Snafu;

/// Longest name of a repository, in bytes: with a host name in front, clients allow 255 (OCI distribution specification,
/// "Pulling manifests").
pub const MAX_NAME: usize = 255;

/// The name of a repository, as `library/alpine`.
///
/// One or more components between single slashes; each is lowercase letters and digits, with `.`, `_`, `__` or any number
/// of `-` between them, never at its beginning or end. Therefore never empty, never `..`, never with an underscore in front,
/// which makes it safe as part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// Why a name of a repository was refused.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
pub enum InvalidName {
    /// Empty, or longer than [`MAX_NAME`].
    #[snafu(display("a repository name has 1 to {MAX_NAME} characters, this one has {length}"))]
    Length {
        /// How long it is, in bytes.
        length: usize,
    },
    /// A component between the slashes is not well formed.
    #[snafu(display(
        "{component:?} is no component of a repository name: lowercase letters and digits, with one of '.', '_', '__' or '-' between them"
    ))]
    Component {
        /// The first bad one.
        component: String,
    },
}

impl RepositoryName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > MAX_NAME {
            return LengthSnafu { length: text.len() }.fail();
        }
        match text.split('/').find(|component| !is_component(component)) {
            Some(component) => ComponentSnafu { component }.fail(),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, without a regular expression engine.
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(text.starts_with(alphanumeric) && text.ends_with(alphanumeric)) {
        return false;
    }
    text.split(alphanumeric).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a")]
    #[case("library/alpine")]
    #[case("a.b/c_d/e__f/g---h/0")]
    fn a_name_of_the_specification_is_accepted(#[case] name: &str) {
        assert_eq!(
            name.parse::<RepositoryName>()
                .map(|parsed| parsed.to_string()),
            Ok(name.to_owned())
        );
    }

    #[rstest]
    #[case("")]
    #[case("A")]
    #[case("a//b")]
    #[case("/a")]
    #[case("a/")]
    #[case("..")]
    #[case("a/../b")]
    #[case("a..b")]
    #[case("a___b")]
    #[case("a.-b")]
    #[case("_uploads")]
    #[case("a/_manifests")]
    #[case("a-")]
    #[case("ä")]
    #[case("a\\b")]
    #[case("a%2fb")]
    #[case("a\0")]
    fn a_name_outside_the_specification_is_refused(#[case] name: &str) {
        assert!(
            name.parse::<RepositoryName>().is_err(),
            "{name:?} was accepted"
        );
    }

    #[test]
    fn a_name_has_at_most_255_characters() {
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert_eq!(
            "a".repeat(256).parse::<RepositoryName>(),
            Err(InvalidName::Length { length: 256 })
        );
    }

    proptest! {
        #[test]
        fn whatever_the_expression_of_the_specification_makes_is_a_name(
            name in "[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,9}){0,3}(/[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,9}){0,3}){0,2}",
        ) {
            prop_assert!(name.parse::<RepositoryName>().is_ok());
        }

        #[test]
        fn no_input_breaks_the_parser_and_what_is_accepted_is_unchanged(text in ".{0,300}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
            }
        }
    }
}
