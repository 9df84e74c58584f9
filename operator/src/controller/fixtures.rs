//! Registries for the tests of the pure steps. Values differ from each other on purpose, so that swapped ones show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time};
use moorage_crds::ContainerRegistry;
use serde_json::{Value, json};

use super::{
    claims::{Claim, Standing},
    dereference::References,
    naming,
    validate::{Defaults, Problem, ValidatedRegistry, validate},
};

pub(super) const UID: &str = "11111111-2222-3333-4444-555555555555";

pub(super) fn registry(spec: &Value) -> ContainerRegistry {
    let mut registry: ContainerRegistry = serde_json::from_value(json!({
        "apiVersion": "moorage.dev/v1alpha1", "kind": "ContainerRegistry",
        "metadata": {
            "name": "images", "namespace": "team-a", "uid": UID, "generation": 3, "resourceVersion": "7",
            "labels": {"app.kubernetes.io/instance": "argo-app"}, "annotations": {"argocd.argoproj.io/tracking-id": "x"}
        },
        "spec": spec
    }))
    .expect("the spec fits the types");
    registry.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    registry
}

pub(super) fn defaults() -> Defaults {
    Defaults {
        cluster: "production".parse().expect("a cluster id"),
        region: Some("eu-west-1".parse().expect("a region")),
        server_image: "registry.example.com/server:1".to_owned(),
        server_s3_endpoint: None,
    }
}

pub(super) fn secret(name: &str, data: &[(&str, &str)]) -> (String, Secret) {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    let mut secret = Secret {
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    };
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = Some("team-a".to_owned());
    (name.to_owned(), secret)
}

/// The Secrets that a registry has after its first reconcile.
pub(super) fn own_secrets(registry: &ContainerRegistry) -> References {
    let mut references = References::default();
    for (name, mut secret) in [
        secret(
            &naming::credentials_secret("images"),
            &[
                ("accessKeyId", "AKIAEXAMPLEEXAMPLE01"),
                ("secretAccessKey", "the secret of the key"),
            ],
        ),
        secret(
            &naming::login_secret("images", "admin"),
            &[("username", "admin"), ("password", "a kept password")],
        ),
    ] {
        secret.metadata.owner_references = Some(vec![
            kube::Resource::controller_owner_ref(registry, &()).expect("a uid"),
        ]);
        references.live.secrets.insert(name, secret);
    }
    references
}

pub(super) fn checked(
    spec: &Value,
    references: &References,
    standing: &Standing,
) -> Result<ValidatedRegistry, Vec<Problem>> {
    let (registry, defaults) = (registry(spec), defaults());
    let claim = Claim::of(&registry, &defaults.cluster).expect("it has a uid");
    validate(&registry, references, &claim, standing, &defaults)
}

/// The registry of a spec that is good, with the Secrets of an earlier reconcile.
pub(super) fn valid(spec: &Value) -> ValidatedRegistry {
    checked(spec, &own_secrets(&registry(spec)), &Standing::default()).expect("the spec is good")
}
