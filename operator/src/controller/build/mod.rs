//! Step 5: the Kubernetes objects, from a [`ValidatedRegistry`] and what is known of the cloud. Pure and total; needs no client.
//!
//! Labels and annotations of the `ContainerRegistry` are never copied: other tools (Argo CD, Flux) find their objects by them.

mod deployment;
mod exposure;
mod secrets;
mod service;

use std::marker::PhantomData;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::exposure::{Exposure, exposure, live_certificate};
use super::{auth::Login, naming, validate::ValidatedRegistry};
use crate::aws::StaticCredentials;

/// Objects that are not in the cluster yet.
#[derive(Clone, Copy, Debug)]
pub struct Prepared;
/// Objects as the cluster has them.
#[derive(Clone, Copy, Debug)]
pub struct Applied;

/// The objects of one registry. Only `apply` makes `Resources<Applied>`, so that a status can only be derived from what is there.
///
/// No `Debug`: it would show the data of the Secrets.
#[derive(Clone)]
pub struct Resources<State> {
    /// Credentials, htpasswd, pull, logins.
    pub secrets: Vec<Secret>,
    /// Identity of the pods in the cluster.
    pub service_account: ServiceAccount,
    /// The pods.
    pub deployment: Deployment,
    /// The way in.
    pub service: Service,
    /// See [`Prepared`] and [`Applied`].
    pub state: PhantomData<State>,
}

/// What is known only after the other steps.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The logins, with their hashes.
    pub logins: &'a [Login],
    /// What the pods use for S3.
    pub credentials: &'a StaticCredentials,
    /// How the registry is reached.
    pub exposure: &'a Exposure,
    /// Host, without scheme, under which clients come; `None` while the load balancer has none.
    pub host: Option<&'a str>,
}

/// All objects.
#[must_use]
pub fn build(want: &ValidatedRegistry, known: Known<'_>) -> Resources<Prepared> {
    let mut all = secrets::of_auth(want, known);
    if want.provided_keys.is_none() {
        all.push(credentials_secret(want, known.credentials));
    }
    Resources {
        secrets: all,
        service_account: ServiceAccount {
            metadata: metadata(want, &want.name),
            // The server does not speak to Kubernetes.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        deployment: deployment::deployment(want, known.credentials),
        service: service::service(want, known.exposure),
        state: PhantomData,
    }
}

/// The Secret with the access key. Written as soon as there is a key, before everything else: AWS never shows it again.
#[must_use]
pub fn credentials_secret(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Secret {
    secrets::of_credentials(want, credentials)
}

/// Metadata of one of our objects.
fn metadata(want: &ValidatedRegistry, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(want.namespace.clone()),
        labels: Some(naming::labels(&want.name)),
        owner_references: Some(vec![want.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
