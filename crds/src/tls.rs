//! `spec.tls`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The certificate that clients see. Exactly one of the fields.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.acm), has(self.iamServerCertificate)].filter(set, set).size() == 1")
        .message("tls needs exactly one of acm and iamServerCertificate")
)]
pub struct TlsSpec {
    /// A certificate of AWS Certificate Manager, in the region of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acm: Option<AcmSpec>,

    /// A server certificate that was uploaded to IAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_server_certificate: Option<IamServerCertificateSpec>,
}

/// A certificate of AWS Certificate Manager.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AcmSpec {
    /// ARN of the certificate: `arn:aws:acm:<region>:<account>:certificate/<id>`.
    #[schemars(
        length(max = 256),
        regex(pattern = r"^arn:aws(-[a-z]+)*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$")
    )]
    pub arn: String,
}

/// A server certificate of IAM.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IamServerCertificateSpec {
    /// ARN of the server certificate: `arn:aws:iam::<account>:server-certificate/<path and name>`.
    #[schemars(
        length(max = 1024),
        regex(
            pattern = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:server-certificate/[A-Za-z0-9+=,.@_/-]+$"
        )
    )]
    pub arn: String,
}
