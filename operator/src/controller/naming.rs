//! Names of the Kubernetes objects of a registry. Deterministic, so that each is found again without a record.

use std::collections::BTreeMap;

use moorage_crds::names::REGISTRY_LABEL;
use sha2::{Digest, Sha256};

/// Key of the access key's id, in the managed Secret and in one that the spec names.
pub const ACCESS_KEY_ID: &str = "accessKeyId";
/// Key of the secret access key.
pub const SECRET_ACCESS_KEY: &str = "secretAccessKey";
/// Key of the session token, only in a Secret that the spec names.
pub const SESSION_TOKEN: &str = "sessionToken";
/// Key of the htpasswd file.
pub const HTPASSWD: &str = "htpasswd";
/// Keys of a login: who, what to prove it with, and where.
pub const USERNAME: &str = "username";
/// See [`USERNAME`].
pub const PASSWORD: &str = "password";
/// See [`USERNAME`].
pub const ENDPOINT: &str = "endpoint";

/// Secret with the access key of the registry's IAM user.
#[must_use]
pub fn credentials_secret(registry: &str) -> String {
    format!("{registry}-s3-credentials")
}

/// Secret with the htpasswd file.
#[must_use]
pub fn htpasswd_secret(registry: &str) -> String {
    format!("{registry}-htpasswd")
}

/// Secret with which a kubelet pulls.
#[must_use]
pub fn pull_secret(registry: &str) -> String {
    format!("{registry}-pull")
}

/// Secret with the login of one user.
///
/// A user name that is no Kubernetes name gets one, with a hash, so that `CI` and `ci` do not share a Secret.
#[must_use]
pub fn login_secret(registry: &str, user: &str) -> String {
    let plain: String = user
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    if plain == user && !user.ends_with('-') {
        return format!("{registry}-login-{user}");
    }
    let hash = hex::encode(Sha256::digest(user.as_bytes()));
    format!(
        "{registry}-login-{}-{}",
        plain.trim_matches('-'),
        hash.get(..8).unwrap_or_default()
    )
}

/// What selects the pods. Never changes: a Deployment's selector cannot.
///
/// `app.kubernetes.io/instance` is missing on purpose: Argo CD takes what carries it for its own, and prunes it.
#[must_use]
pub fn selector(registry: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            "app.kubernetes.io/name".to_owned(),
            "moorage-registry".to_owned(),
        ),
        (REGISTRY_LABEL.to_owned(), registry.to_owned()),
    ])
}

/// Labels of every object of a registry.
#[must_use]
pub fn labels(registry: &str) -> BTreeMap<String, String> {
    let mut labels = selector(registry);
    labels.insert(
        "app.kubernetes.io/managed-by".to_owned(),
        "moorage-operator".to_owned(),
    );
    labels
}

/// A selector, or any set of labels, as the API takes it in a query.
#[must_use]
pub fn query(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("ci", "images-login-ci")]
    #[case("team-a", "images-login-team-a")]
    #[case("dev@example.com", "images-login-dev-example-com-")]
    #[case("CI", "images-login-ci-")]
    #[case("a-", "images-login-a-")]
    #[case("a...", "images-login-a-")]
    fn a_login_secret_has_a_kubernetes_name(#[case] user: &str, #[case] start: &str) {
        let name = login_secret("images", user);
        assert!(name.starts_with(start), "{name}");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{name}"
        );
        assert!(!name.ends_with('-'), "{name}");
    }

    #[test]
    fn users_that_differ_in_case_only_do_not_share_a_secret() {
        assert_ne!(login_secret("images", "CI"), login_secret("images", "ci"));
        assert_ne!(login_secret("images", "a.b"), login_secret("images", "a-b"));
    }
}
