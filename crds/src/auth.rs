//! `spec.auth`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Who may log in.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AuthSpec {
    /// What a client shows when it asks for a password: 1 to 128 printable ASCII characters without quotes and backslashes.
    /// Default: Registry.
    #[serde(default = "default_realm")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[ !#-\[\]-~]+$"))]
    pub realm: String,

    /// People and machines that may log in; each may push and pull. At most 100. Default: one user `admin` with a generated
    /// password.
    /// The login of each is in the Secret `<name>-login-<user>` (keys `username`, `password`, `endpoint`); `<name>-pull` is a
    /// pull Secret of the first user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub users: Vec<UserSpec>,
}

impl Default for AuthSpec {
    fn default() -> Self {
        Self {
            realm: default_realm(),
            users: Vec::new(),
        }
    }
}

fn default_realm() -> String {
    "Registry".to_owned()
}

/// One login.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UserSpec {
    /// Name to log in with: 1 to 63 letters, digits and `. _ @ -`, beginning with a letter or a digit.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
    )]
    pub name: String,

    /// The password, in a Secret of the same namespace. A change takes effect within a minute and restarts nothing. While the Secret
    /// of any user is missing or has no usable password, nothing of the registry is changed (AuthReady says which one is meant), and
    /// pods that serve go on with the logins that they have.
    /// Default: generated (40 characters) and kept in the Secret `<registry>-login-<user>`; delete that Secret to get a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
}

/// One key of a Secret of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret, in the namespace of the ContainerRegistry.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,

    /// Key in the Secret. The value is the password as it is, 1 to 72 bytes (what bcrypt can tell apart); one line end at the
    /// end is cut off. Default: password.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._A-Za-z0-9]+$"))]
    pub key: String,
}

fn default_key() -> String {
    "password".to_owned()
}
