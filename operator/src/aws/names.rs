//! Names of things in AWS, checked once, where they come in.
//!
//! The rules are AWS's own. Whether an object of that name exists, and whose it is, is not known here.

mod certificate;
mod prefix;

use std::{fmt, str::FromStr};

use snafu::{Snafu, ensure};

pub use self::{certificate::CertificateArn, prefix::KeyPrefix};

/// A text that cannot be the name it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(display("{value:?} is not {what}: {rule}"))]
pub struct InvalidValue {
    /// What was expected, with its article: `"a bucket name"`.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// The rule that it breaks, as a sentence about what is allowed.
    pub rule: &'static str,
}

/// Declares a checked text: `FromStr`, `Display`, `AsRef<str>`.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(value: &str) -> Result<Self, InvalidValue> {
                let check: fn(&str) -> bool = $check;
                ensure!(check(value), InvalidValueSnafu { what: $what, value, rule: $rule });
                Ok(Self(value.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

checked_text! {
    /// Name of a bucket: 3 to 63 characters (S3 user guide, "General purpose bucket naming rules").
    BucketName,
    "a bucket name",
    "3 to 63 lower-case letters, digits, dots and hyphens, beginning and ending with a letter or digit, no two dots in a row, not \
     an IP address, and none of the beginnings and endings that S3 keeps for itself (xn--, sthree-, amzn-s3-demo-, -s3alias, --ol-s3, \
     .mrap, --x-s3)",
    |text| {
        (3..=63).contains(&text.len())
            && text.chars().all(|c| is_lower_or_digit(c) || c == '.' || c == '-')
            && text.starts_with(is_lower_or_digit)
            && text.ends_with(is_lower_or_digit)
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err()
            && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|start| text.starts_with(start))
            && !["-s3alias", "--ol-s3", ".mrap", "--x-s3"].iter().any(|end| text.ends_with(end))
    }
}

checked_text! {
    /// A region, such as `eu-west-1`. S3-compatible stores have their own (`auto`, `garage`), so only the form is checked.
    Region,
    "a region",
    "1 to 63 lower-case letters, digits and hyphens, beginning with a letter",
    |text| {
        (1..=63).contains(&text.len())
            && text.chars().all(|c| is_lower_or_digit(c) || c == '-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
    }
}

impl Region {
    /// The region that S3 has no location constraint for.
    pub const US_EAST_1: &str = "us-east-1";

    /// The partition that the region is in: the second field of every ARN there.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        if self.0.starts_with("cn-") {
            "aws-cn"
        } else if self.0.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

checked_text! {
    /// Number of an AWS account: 12 digits.
    AccountId,
    "an AWS account id",
    "12 digits",
    |text| text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

checked_text! {
    /// Name of an IAM user: 1 to 64 characters. IAM takes names that differ only in case for the same.
    UserName,
    "an IAM user name",
    "1 to 64 letters, digits and + = , . @ _ -",
    |text| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c))
    }
}

checked_text! {
    /// Id of an access key. Not a secret.
    AccessKeyId,
    "an access key id",
    "16 to 128 letters, digits and underscores",
    |text| (16..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

checked_text! {
    /// Name of the cluster that this operator runs in. It is the second part of every IAM path and the value of a tag, so two
    /// clusters that share an AWS account need different ones.
    ClusterId,
    "a cluster id",
    "1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit",
    |text| {
        (1..=63).contains(&text.len())
            && text.chars().all(|c| is_lower_or_digit(c) || c == '-')
            && text.starts_with(is_lower_or_digit)
            && text.ends_with(is_lower_or_digit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("abc", true)]
    #[case("team-a.images", true)]
    #[case("ab", false)]
    #[case("Team", false)]
    #[case("a..b", false)]
    #[case("-ab", false)]
    #[case("ab-", false)]
    #[case("192.168.0.1", false)]
    #[case("xn--abc", false)]
    #[case("images-s3alias", false)]
    #[case("images\n", false)]
    fn a_bucket_name_follows_the_rules_of_s3(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<BucketName>().is_ok(), good);
    }

    #[test]
    fn a_refused_name_says_what_is_allowed() {
        let error = "Team A".parse::<Region>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"Team A\" is not a region: 1 to 63 lower-case letters, digits and hyphens, beginning with a letter"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = (text.parse::<CertificateArn>(), text.parse::<KeyPrefix>(), text.parse::<BucketName>());
        }
    }
}
