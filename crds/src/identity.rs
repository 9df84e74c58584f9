//! `spec.identity`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// As whom the pods speak to the store. Exactly one of the fields.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.iamUser), has(self.secretRef)].filter(set, set).size() == 1")
        .message("identity needs exactly one of iamUser and secretRef")
)]
pub struct IdentitySpec {
    /// An IAM user of its own, made and kept by the operator, whose policy allows exactly what the server needs on exactly
    /// this bucket and prefix. Its access key is in the Secret `<name>-s3-credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_user: Option<IamUserSpec>,

    /// Keys that you bring, in a Secret of the same namespace with the keys `accessKeyId` and `secretAccessKey`. The operator
    /// makes no IAM user. A changed Secret rolls the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// An IAM user of its own.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IamUserSpec {
    /// Where the policy lives: `Inline`, in the user itself, or `Managed`, as a customer-managed policy that is attached to it
    /// (for accounts that forbid inline policies). Default: Inline.
    #[serde(default)]
    pub policy: PolicyKind,
}

/// Where the policy of an IAM user lives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum PolicyKind {
    /// In the user itself.
    #[default]
    Inline,
    /// As a customer-managed policy, attached to the user.
    Managed,
}

/// A Secret of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret, in the namespace of the ContainerRegistry.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
}
