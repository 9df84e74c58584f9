//! What is refused, in which words; and what a good spec becomes.

use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::{
    aws::{DesiredIdentity, StoreAccess},
    controller::fixtures::{checked, own_secrets, registry, secret, valid},
};

const ACM: &str =
    "arn:aws:acm:us-east-1:123456789012:certificate/0f6b8a3e-1c55-4a51-9f29-1f2f5a7cde01";

fn problems(spec: &Value, references: &References) -> Vec<(String, &'static str)> {
    let problems =
        checked(spec, references, &Standing::default()).expect_err("the spec is refused");
    problems
        .into_iter()
        .map(|problem| (problem.field, problem.reason))
        .collect()
}

#[rstest]
#[case::bucket_that_s3_keeps_for_itself(json!({"storage": {"s3": {"bucket": "xn--images"}}}), "spec.storage.s3.bucket", "InvalidSpec")]
#[case::region(json!({"storage": {"s3": {"region": "9-nowhere"}}}), "spec.storage.s3.region", "InvalidSpec")]
#[case::certificate_of_another_region(json!({"tls": {"acm": {"arn": ACM}}}), "spec.tls.acm.arn", "InvalidSpec")]
#[case::malformed_arn(json!({"tls": {"iamServerCertificate": {"arn": "arn:aws:iam::1:server-certificate/x"}}}), "spec.tls.iamServerCertificate.arn", "InvalidSpec")]
#[case::password_secret(json!({"auth": {"users": [{"name": "a"}, {"name": "b", "passwordSecretRef": {"name": "none"}}]}}), "spec.auth.users[1].passwordSecretRef.name", "SecretNotFound")]
#[case::keys_secret(json!({"identity": {"secretRef": {"name": "none"}}}), "spec.identity.secretRef.name", "SecretNotFound")]
fn a_problem_names_its_field(#[case] spec: Value, #[case] field: &str, #[case] reason: &str) {
    assert_eq!(
        problems(&spec, &References::default()),
        [(field.to_owned(), reason)]
    );
}

#[test]
fn all_problems_are_found_at_once() {
    let spec = json!({
        "storage": {"s3": {"bucket": "xn--images"}}, "identity": {"secretRef": {"name": "none"}},
        "auth": {"users": [{"name": "a", "passwordSecretRef": {"name": "none"}}]}, "tls": {"acm": {"arn": ACM}}
    });
    assert_eq!(problems(&spec, &References::default()).len(), 4);
}

#[rstest]
#[case::missing_key("other", "x")]
#[case::empty("password", "")]
#[case::only_a_line_end("password", "\n")]
#[case::longer_than_bcrypt_reads("password", &"x".repeat(73))]
#[case::zero_byte("password", "a\0b")]
fn a_password_that_cannot_be_used_is_refused(#[case] key: &str, #[case] value: &str) {
    let mut references = References::default();
    references.named.extend([secret("pw", &[(key, value)])]);
    let spec = json!({"auth": {"users": [{"name": "ci", "passwordSecretRef": {"name": "pw"}}]}});
    let problems = problems(&spec, &references);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].1, "SecretInvalid", "{problems:?}");
}

#[test]
fn the_line_end_of_a_file_is_no_part_of_the_password() {
    let mut references = References::default();
    references
        .named
        .extend([secret("pw", &[("password", "two words \r\n")])]);
    let spec = json!({"auth": {"users": [{"name": "ci", "passwordSecretRef": {"name": "pw"}}]}});
    let valid = checked(&spec, &references, &Standing::default()).expect("it is a password");
    assert_eq!(
        valid.users[0]
            .password
            .as_ref()
            .map(ExposeSecret::expose_secret),
        Some("two words ")
    );
}

#[test]
fn an_object_of_somebody_else_is_in_the_way() {
    let mut references = References::default();
    references
        .live
        .secrets
        .extend([secret("images-s3-credentials", &[])]);
    assert_eq!(
        problems(&json!({}), &references),
        [("metadata.name".to_owned(), "NameTaken")]
    );
    let mut deployment = k8s_openapi::api::apps::v1::Deployment::default();
    // Of a registry of the same name that is gone.
    let mut other = registry(&json!({}));
    other.metadata.uid = Some("another uid".to_owned());
    deployment.metadata.owner_references =
        Some(vec![other.controller_owner_ref(&()).expect("a uid")]);
    let mut references = References::default();
    references.live.deployment = Some(deployment);
    assert_eq!(
        problems(&json!({}), &references),
        [("metadata.name".to_owned(), "NameTaken")]
    );
}

#[test]
fn a_bucket_that_an_older_registry_has_is_refused_with_its_name() {
    let mut winner = registry(&json!({}));
    winner.metadata.name = Some("older".to_owned());
    let lost_to = Claim::of(&winner, &"production".parse().expect("a cluster id"));
    let standing = Standing {
        lost_to,
        ..Standing::default()
    };
    let problems =
        checked(&json!({}), &References::default(), &standing).expect_err("the bucket is taken");
    assert_eq!(
        (problems[0].part, problems[0].reason),
        (Part::Bucket, "BucketClaimed")
    );
    assert!(
        problems[0].message.contains("team-a/older"),
        "{}",
        problems[0].message
    );
}

#[test]
fn an_empty_spec_has_one_user_whose_password_has_to_be_made() {
    let valid = checked(&json!({}), &References::default(), &Standing::default())
        .expect("an empty spec is good");
    assert_eq!(valid.users.len(), 1);
    assert_eq!(
        (valid.users[0].name.as_str(), valid.users[0].secret.as_str()),
        ("admin", "images-login-admin")
    );
    assert!(valid.users[0].password.is_none());
    assert!(matches!(
        valid.desired.identity,
        DesiredIdentity::IamUser {
            recorded_key: None,
            ..
        }
    ));
}

#[test]
fn what_an_earlier_run_kept_is_used_again() {
    let valid = valid(&json!({}));
    assert_eq!(
        valid.users[0]
            .password
            .as_ref()
            .map(ExposeSecret::expose_secret),
        Some("a kept password")
    );
    let DesiredIdentity::IamUser { recorded_key, .. } = valid.desired.identity else {
        panic!("an empty spec wants a user")
    };
    assert_eq!(
        recorded_key.map(|key| key.to_string()).as_deref(),
        Some("AKIAEXAMPLEEXAMPLE01")
    );
}

/// Without the secret half the key is lost, and has to be made again.
#[test]
fn half_a_key_is_no_key() {
    let mut references = own_secrets(&registry(&json!({})));
    let secret = references
        .live
        .secrets
        .get_mut("images-s3-credentials")
        .expect("the Secret");
    secret
        .data
        .as_mut()
        .expect("data")
        .remove("secretAccessKey");
    let valid = checked(&json!({}), &references, &Standing::default()).expect("the spec is good");
    assert!(valid.managed_keys.is_none());
    assert!(matches!(
        valid.desired.identity,
        DesiredIdentity::IamUser {
            recorded_key: None,
            ..
        }
    ));
}

#[test]
fn a_compatible_store_is_reached_with_the_keys_of_the_secret_and_without_iam() {
    let mut references = References::default();
    references.named.extend([secret(
        "keys",
        &[
            ("accessKeyId", "minio"),
            ("secretAccessKey", "minio secret"),
        ],
    )]);
    let spec = json!({
        "storage": {"s3": {"bucket": "images", "endpoint": "https://minio.example.com", "forcePathStyle": true}},
        "identity": {"secretRef": {"name": "keys"}}
    });
    let valid = checked(&spec, &references, &Standing::default()).expect("the spec is good");
    assert_eq!(
        valid.desired.identity,
        DesiredIdentity::Provided { former_user: None }
    );
    let StoreAccess::Compatible {
        credentials,
        force_path_style,
        ..
    } = &valid.desired.bucket.store
    else {
        panic!("not AWS")
    };
    assert_eq!(
        (credentials.access_key_id.as_str(), *force_path_style),
        ("minio", true)
    );
    assert_eq!(
        valid.s3_endpoint,
        Some(S3Endpoint {
            url: "https://minio.example.com".to_owned(),
            path_style: true
        })
    );
}

#[test]
fn no_secret_shows_in_debug_output() {
    let mut references = own_secrets(&registry(&json!({})));
    references
        .named
        .extend([secret("pw", &[("password", "hunter2")])]);
    let spec = json!({"auth": {"users": [{"name": "admin"}, {"name": "ci", "passwordSecretRef": {"name": "pw"}}]}});
    let text = format!(
        "{:?}",
        checked(&spec, &references, &Standing::default()).expect("the spec is good")
    );
    for hidden in ["hunter2", "a kept password", "the secret of the key"] {
        assert!(!text.contains(hidden), "{hidden} shows");
    }
}
