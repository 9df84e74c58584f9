//! Step 2: from what people wrote, and what it refers to, to a [`ValidatedRegistry`]: names that are names, passwords that are
//! there, and no object in the way. Pure. All problems are found at once, each with the field that it is about.
//!
//! What the schema of the custom resource has refused already is not checked again, except where a type of ours needs parsing.

mod check;

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt};
use moorage_crds::{ContainerRegistry, ContainerRegistrySpec, S3Spec, ServerSpec, ServiceSpec};
use secrecy::SecretString;

use self::check::Check;
use super::{
    claims::{Claim, Standing},
    dereference::References,
    report::Part,
};
use crate::{
    aws::{ClusterId, Desired, Region, StaticCredentials},
    error::Class,
};

/// What the operator was started with.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The cluster.
    pub cluster: ClusterId,
    /// Region of buckets whose spec names none.
    pub region: Option<Region>,
    /// Image of the server whose spec names none.
    pub server_image: String,
    /// How pods reach S3, when not at AWS's own address.
    pub server_s3_endpoint: Option<String>,
}

/// A registry that can be made. The only input of what follows.
#[derive(Clone, Debug)]
pub struct ValidatedRegistry {
    /// Namespace of the objects.
    pub namespace: String,
    /// Name of the registry, and of its `Deployment`, `Service` and `ServiceAccount`.
    pub name: String,
    /// Goes onto every object.
    pub owner: OwnerReference,
    /// What it wants of AWS.
    pub desired: Desired,
    /// Whether blobs are answered with a redirect to the store.
    pub redirect: bool,
    /// The keys that the spec brings; `None` when the operator makes an IAM user.
    pub provided_keys: Option<ProvidedKeys>,
    /// Keys that are in the managed Secret already.
    pub managed_keys: Option<StaticCredentials>,
    /// What the pods use for S3 when it is not AWS's own address.
    pub s3_endpoint: Option<S3Endpoint>,
    /// Realm of the logins.
    pub realm: String,
    /// The logins, at least one.
    pub users: Vec<User>,
    /// Name under which clients come.
    pub hostname: Option<String>,
    /// The way in, as written.
    pub service: ServiceSpec,
    /// The pods, as written.
    pub server: ServerSpec,
    /// Image of the pods.
    pub image: String,
}

/// Keys from a Secret that the spec names.
#[derive(Clone, Debug)]
pub struct ProvidedKeys {
    /// Its name.
    pub secret: String,
    /// What is in it.
    pub keys: StaticCredentials,
}

/// Where the pods find S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Endpoint {
    /// URL.
    pub url: String,
    /// Bucket in the path and not in the host name.
    pub path_style: bool,
}

/// One login.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Secret in which the login is kept.
    pub secret: String,
    /// `None` when one has to be generated.
    pub password: Option<SecretString>,
}

/// Something that has to be different before the registry can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part that it holds up.
    pub part: Part,
    /// The field, from the root of the object.
    pub field: String,
    /// Reason of the condition.
    pub reason: &'static str,
    /// For whom it is.
    pub class: Class,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Names of the users: those of the spec, else `admin`.
#[must_use]
pub fn user_names(spec: &ContainerRegistrySpec) -> Vec<&str> {
    if spec.auth.users.is_empty() {
        vec!["admin"]
    } else {
        spec.auth
            .users
            .iter()
            .map(|user| user.name.as_str())
            .collect()
    }
}

/// Checks everything.
///
/// # Errors
/// Every problem there is, at least one.
pub fn validate(
    registry: &ContainerRegistry,
    references: &References,
    claim: &Claim,
    standing: &Standing,
    defaults: &Defaults,
) -> Result<ValidatedRegistry, Vec<Problem>> {
    let mut check = Check {
        registry,
        references,
        defaults,
        problems: Vec::new(),
    };
    check.names_are_free(&claim.owner.uid);
    check.bucket_is_free(claim, standing);
    let provided_keys = check.provided_keys();
    let desired = check.desired(claim, standing, provided_keys.as_ref());
    let users = check.users();
    let owner = registry.controller_owner_ref(&());
    match (desired, owner) {
        (Some(desired), Some(owner)) if check.problems.is_empty() => {
            let spec = &registry.spec;
            let s3 = s3_of(spec);
            Ok(ValidatedRegistry {
                namespace: claim.owner.namespace.clone(),
                name: claim.owner.name.clone(),
                owner,
                redirect: s3.redirect,
                managed_keys: check.managed_keys(&claim.owner.uid),
                s3_endpoint: s3_endpoint(&s3, defaults),
                provided_keys,
                desired,
                realm: spec.auth.realm.clone(),
                users,
                hostname: spec.hostname.clone(),
                service: spec.service.clone(),
                server: spec.server.clone(),
                image: spec
                    .server
                    .image
                    .clone()
                    .unwrap_or_else(|| defaults.server_image.clone()),
            })
        }
        _ => Err(check.problems),
    }
}

/// `spec.storage.s3`, or its defaults.
#[must_use]
pub fn s3_of(spec: &ContainerRegistrySpec) -> S3Spec {
    spec.storage
        .as_ref()
        .map(|storage| storage.s3.clone())
        .unwrap_or_default()
}

fn s3_endpoint(s3: &S3Spec, defaults: &Defaults) -> Option<S3Endpoint> {
    match (&s3.endpoint, &defaults.server_s3_endpoint) {
        (Some(url), _) => Some(S3Endpoint {
            url: url.clone(),
            path_style: s3.force_path_style,
        }),
        // A stand-in for AWS answers for every bucket under one name.
        (None, Some(url)) => Some(S3Endpoint {
            url: url.clone(),
            path_style: true,
        }),
        (None, None) => None,
    }
}

/// Whether an object is there and is not controlled by the registry with this uid.
#[must_use]
pub fn is_foreign<K: Resource>(object: &K, uid: &str) -> bool {
    !object
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The value of a key of a Secret, when it is there and text.
#[must_use]
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    String::from_utf8(bytes.clone()).ok()
}

#[cfg(test)]
mod tests;
