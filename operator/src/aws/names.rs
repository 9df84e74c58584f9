//! Names of things in AWS, checked once, where they come in.
//!
//! The rules are AWS's own. Whether an object of that name exists, and whose it is, is not known here.

use std::{fmt, str::FromStr};

use snafu::{Snafu, ensure};

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

/// The ARN of a TLS certificate that a load balancer can use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateArn {
    /// Of AWS Certificate Manager. It lives in one region, which must be the load balancer's.
    Acm {
        /// The whole ARN.
        arn: String,
        /// The region in it.
        region: Region,
    },
    /// Of a server certificate uploaded to IAM.
    IamServerCertificate {
        /// The whole ARN.
        arn: String,
        /// The name of the certificate: the last part of the ARN, without its path.
        name: String,
    },
}

impl CertificateArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Acm { arn, .. } | Self::IamServerCertificate { arn, .. } => arn,
        }
    }
}

impl fmt::Display for CertificateArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CertificateArn {
    type Err = InvalidValue;

    fn from_str(value: &str) -> Result<Self, InvalidValue> {
        parse_certificate_arn(value).ok_or_else(|| InvalidValue {
            what: "the ARN of a certificate",
            value: value.to_owned(),
            rule: "either arn:aws:acm:<region>:<account>:certificate/<id> or arn:aws:iam::<account>:server-certificate/<name>",
        })
    }
}

/// `arn:partition:service:region:account:resource`, for the two services that keep certificates.
fn parse_certificate_arn(value: &str) -> Option<CertificateArn> {
    let mut fields = value.splitn(6, ':');
    let mut field = || fields.next();
    let (arn, partition, service, region, account, resource) =
        (field()?, field()?, field()?, field()?, field()?, field()?);
    if arn != "arn" || !["aws", "aws-cn", "aws-us-gov"].contains(&partition) || value.len() > 2048 {
        return None;
    }
    account.parse::<AccountId>().ok()?;
    match service {
        "acm" => {
            let region = region.parse::<Region>().ok()?;
            let id = resource.strip_prefix("certificate/")?;
            let good = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            good.then(|| CertificateArn::Acm {
                arn: value.to_owned(),
                region,
            })
        }
        "iam" => {
            let name = resource
                .strip_prefix("server-certificate/")?
                .rsplit('/')
                .next()?;
            let good = region.is_empty()
                && (1..=128).contains(&name.len())
                && resource
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c));
            good.then(|| CertificateArn::IamServerCertificate {
                arn: value.to_owned(),
                name: name.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::aws::Owner;

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

    #[rstest]
    #[case("arn:aws:acm:eu-west-1:123456789012:certificate/0f-1", true)]
    #[case("arn:aws-cn:acm:cn-north-1:123456789012:certificate/0f", true)]
    #[case("arn:aws:iam::123456789012:server-certificate/web", true)]
    #[case("arn:aws:iam::123456789012:server-certificate/path/to/web", true)]
    #[case("", false)]
    #[case("arn:aws:acm", false)]
    #[case("arn:aws:acm::123456789012:certificate/0f", false)]
    #[case("arn:aws:acm:eu-west-1:1234:certificate/0f", false)]
    #[case("arn:aws:acm:eu-west-1:123456789012:certificate/", false)]
    #[case("arn:aws:iam:eu-west-1:123456789012:server-certificate/web", false)]
    #[case("arn:aws:iam::123456789012:role/web", false)]
    #[case("arn:evil:acm:eu-west-1:123456789012:certificate/0f", false)]
    #[case("arn:aws:acm:eu-west-1:123456789012:certificate/0f,x", false)]
    fn the_arn_of_a_certificate_is_of_acm_or_iam(#[case] text: &str, #[case] good: bool) {
        let parsed = text.parse::<CertificateArn>();
        assert_eq!(
            parsed.as_ref().ok().map(CertificateArn::as_str),
            good.then_some(text)
        );
    }

    #[test]
    fn a_server_certificate_is_known_by_the_last_part_of_its_path() {
        let arn = "arn:aws:iam::123456789012:server-certificate/path/to/web"
            .parse()
            .unwrap();
        assert!(matches!(arn, CertificateArn::IamServerCertificate { name, .. } if name == "web"));
    }

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

    proptest! {
        #[test]
        fn derived_names_are_names_whatever_they_are_derived_from(namespace in ".*", name in ".*", cluster in "[a-z0-9]{1,63}") {
            let owner = Owner { cluster: cluster.parse().unwrap(), namespace, name, uid: String::new() };
            prop_assert!(owner.user_name().as_str().starts_with("moorage-"));
            prop_assert!(owner.bucket_name().as_str().len() <= 63);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = (text.parse::<CertificateArn>(), text.parse::<KeyPrefix>(), text.parse::<BucketName>());
        }
    }

    /// `a` in `b-c` and `a-b` in `c` read the same; the hash tells them apart. So does it where the readable part is cut.
    #[test]
    fn different_registries_have_different_names() {
        let owner = |cluster: &str, namespace: &str, name: &str| Owner {
            cluster: cluster.parse().unwrap(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: "any".to_owned(),
        };
        let long = "x".repeat(63);
        let names: std::collections::BTreeSet<_> = [
            owner("blue", "a", "b-c"),
            owner("blue", "a-b", "c"),
            owner("green", "a", "b-c"),
            owner("blue", &long, "y"),
            owner("blue", &long, "z"),
        ]
        .iter()
        .map(|owner| owner.user_name().to_string())
        .collect();
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
