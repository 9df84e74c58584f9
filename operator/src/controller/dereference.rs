//! Step 1: reads what the spec refers to, and what there is already of the objects that the registry is made of.
//!
//! Reads only. What is missing is not an error here; whether it may be missing is decided by `validate`.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Secret, Service, ServiceAccount},
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use moorage_crds::{ContainerRegistrySpec, names::REGISTRY_LABEL};
use snafu::{ResultExt, Snafu};

use super::{naming, validate::user_names};

/// Secrets that are read at the same time for one registry.
const AT_ONCE: usize = 8;

/// Something could not be read.
#[derive(Debug, Snafu)]
#[snafu(display("failed to read {what}"), context(name(ReadSnafu)))]
pub struct Error {
    what: String,
    #[snafu(source(from(kube::Error, Box::new)))]
    source: Box<kube::Error>,
}

impl Error {
    /// What the API said.
    #[must_use]
    pub fn cause(&self) -> &kube::Error {
        &self.source
    }
}

/// What a spec refers to, and what there is already.
#[derive(Clone, Default)]
pub struct References {
    /// The Secrets that the spec names, as far as they exist.
    pub named: BTreeMap<String, Secret>,
    /// What there is under the names of our objects, whoever made it.
    pub live: Live,
}

/// What there is under the names of our objects.
#[derive(Clone, Default)]
pub struct Live {
    /// All Secrets of this registry, and those of others that bear one of its names.
    pub secrets: BTreeMap<String, Secret>,
    /// The pods' service account.
    pub service_account: Option<ServiceAccount>,
    /// The pods.
    pub deployment: Option<Deployment>,
    /// The way in.
    pub service: Option<Service>,
}

/// Reads all of it.
///
/// # Errors
/// When the API refuses or does not answer.
pub async fn fetch(
    client: &Client,
    namespace: &str,
    name: &str,
    spec: &ContainerRegistrySpec,
) -> Result<References, Error> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let (service_account, deployment, service, ours, named) = futures::try_join!(
        async {
            accounts
                .get_opt(name)
                .await
                .context(read(&format!("ServiceAccount {name}")))
        },
        async {
            deployments
                .get_opt(name)
                .await
                .context(read(&format!("Deployment {name}")))
        },
        async {
            services
                .get_opt(name)
                .await
                .context(read(&format!("Service {name}")))
        },
        our_secrets(&secrets, name, spec),
        by_name(&secrets, named_secrets(spec)),
    )?;
    Ok(References {
        named,
        live: Live {
            secrets: ours,
            service_account,
            deployment,
            service,
        },
    })
}

/// The context of a failed read.
fn read(what: &str) -> ReadSnafu<String> {
    ReadSnafu {
        what: what.to_owned(),
    }
}

/// One list by label, which in the usual case finds all; what it does not find may be there with other labels, and not be ours.
async fn our_secrets(
    api: &Api<Secret>,
    registry: &str,
    spec: &ContainerRegistrySpec,
) -> Result<BTreeMap<String, Secret>, Error> {
    let ours = ListParams::default().labels(&format!("{REGISTRY_LABEL}={registry}"));
    let listed = api
        .list(&ours)
        .await
        .context(read(&format!("the Secrets of registry {registry}")))?;
    let mut found: BTreeMap<String, Secret> = listed
        .items
        .into_iter()
        .map(|secret| (secret.name_any(), secret))
        .collect();
    let missing = secret_names(registry, spec)
        .into_iter()
        .filter(|name| !found.contains_key(name))
        .collect();
    found.extend(by_name(api, missing).await?);
    Ok(found)
}

async fn by_name(
    api: &Api<Secret>,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, Secret>, Error> {
    stream::iter(names)
        .map(|name| async move {
            let found = api
                .get_opt(&name)
                .await
                .context(read(&format!("Secret {name}")))?;
            Ok(found.map(|secret| (name, secret)))
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| std::future::ready(Ok(found)))
        .try_collect()
        .await
}

/// Names of the Secrets that the operator keeps for a registry with this spec.
#[must_use]
pub fn secret_names(registry: &str, spec: &ContainerRegistrySpec) -> BTreeSet<String> {
    user_names(spec)
        .into_iter()
        .map(|user| naming::login_secret(registry, user))
        .chain([
            naming::credentials_secret(registry),
            naming::htpasswd_secret(registry),
            naming::pull_secret(registry),
        ])
        .collect()
}

/// Names of the Secrets that a spec reads. A change of one of them is a change of the registry.
#[must_use]
pub fn named_secrets(spec: &ContainerRegistrySpec) -> BTreeSet<String> {
    let passwords = spec
        .auth
        .users
        .iter()
        .filter_map(|user| user.password_secret_ref.as_ref())
        .map(|secret| &secret.name);
    let keys = spec
        .identity
        .iter()
        .filter_map(|identity| identity.secret_ref.as_ref())
        .map(|secret| &secret.name);
    passwords.chain(keys).cloned().collect()
}
