//! The ARN of a certificate.

use std::{fmt, str::FromStr};

use super::{AccountId, InvalidValue, Region};

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
    use rstest::rstest;

    use super::*;

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
}
