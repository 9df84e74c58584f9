//! Certificates that the spec names by ARN: whether they are there, for which name, and until when.
//!
//! Nothing is requested, imported or deleted here.

use super::{
    clients::Aws,
    desired::Desired,
    error::Error,
    iam::{empty_answer, if_there},
    names::{CertificateArn, Region},
    observed::CertificateState,
    s3::timestamp,
};

impl Aws {
    /// One call, or none.
    pub(super) async fn observe_certificate(
        &self,
        want: &Desired,
    ) -> Result<CertificateState, Error> {
        match &want.certificate {
            None => Ok(CertificateState::NotAsked),
            Some(CertificateArn::Acm { arn, region }) => self.acm_certificate(arn, region).await,
            Some(CertificateArn::IamServerCertificate { arn, name }) => {
                self.server_certificate(want, arn, name).await
            }
        }
    }

    /// ACM answers only in the region of the certificate.
    async fn acm_certificate(&self, arn: &str, region: &Region) -> Result<CertificateState, Error> {
        let call = self.call("acm:DescribeCertificate", arn);
        let answer = self
            .region(region)
            .acm
            .describe_certificate()
            .certificate_arn(arn)
            .send()
            .await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(CertificateState::NotFound);
        };
        let found = answer.certificate().ok_or_else(|| empty_answer(&call))?;
        Ok(CertificateState::Found {
            domain: found.domain_name().map(str::to_owned),
            not_after: found.not_after().and_then(timestamp),
        })
    }

    /// IAM finds it by its name, which says nothing of path and account: those are compared.
    async fn server_certificate(
        &self,
        want: &Desired,
        arn: &str,
        name: &str,
    ) -> Result<CertificateState, Error> {
        let call = self.call("iam:GetServerCertificate", arn);
        let answer = self
            .iam(want)
            .get_server_certificate()
            .server_certificate_name(name)
            .send()
            .await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(CertificateState::NotFound);
        };
        let found = answer
            .server_certificate()
            .and_then(|found| found.server_certificate_metadata());
        let found = found.ok_or_else(|| empty_answer(&call))?;
        if found.arn() != arn {
            return Ok(CertificateState::NotFound);
        }
        Ok(CertificateState::Found {
            domain: None,
            not_after: found.expiration().and_then(timestamp),
        })
    }
}
