//! A namespace of one's own for each test, with a diagnosis when the test fails and nothing left over when it passes.

use std::panic::AssertUnwindSafe;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{self as core, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};

use crate::{Cluster, Registry, diagnosis, registry, wait::eventually};

/// A namespace that enforces the `restricted` Pod Security profile, as a careful platform team sets it.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The cluster it is in.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
}

/// Runs `test` in a namespace of its own. A failure prints what is in the namespace and keeps it for inspection.
///
/// # Panics
/// When the test fails, or leaves something behind that cannot be removed.
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this is the frame of a test; panicking is how a test fails"
)]
pub async fn in_namespace(prefix: &str, test: impl AsyncFnOnce(&Namespace) -> Result<()>) {
    let Some(cluster) = Box::pin(Cluster::for_test(prefix)).await else {
        return;
    };
    let namespace = Namespace::create(&cluster, prefix)
        .await
        .expect("a namespace for the test");
    let outcome = AssertUnwindSafe(Box::pin(test(&namespace)))
        .catch_unwind()
        .await;
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(panic) => Some(anyhow!(
            "{}",
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "the test panicked".to_owned())
        )),
    };
    match failure {
        None => namespace
            .remove()
            .await
            .expect("the namespace goes away, with all that is in it"),
        Some(error) => {
            eprintln!("{}", diagnosis::of(&namespace).await);
            panic!(
                "{prefix} failed in namespace {}, which is kept: {error:#}",
                namespace.name
            );
        }
    }
}

impl Namespace {
    async fn create(cluster: &Cluster, prefix: &str) -> Result<Self> {
        let labels = [
            ("pod-security.kubernetes.io/enforce", "restricted"),
            ("moorage.dev/e2e", "true"),
        ];
        let created = Api::<core::Namespace>::all(cluster.client.clone())
            .create(
                &PostParams::default(),
                &core::Namespace {
                    metadata: ObjectMeta {
                        generate_name: Some(format!("{prefix}-")),
                        labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
                        ..ObjectMeta::default()
                    },
                    ..core::Namespace::default()
                },
            )
            .await?;
        let name = created
            .metadata
            .name
            .context("the API server names what it creates")?;
        Ok(Self {
            cluster: cluster.clone(),
            name,
        })
    }

    /// An API for a kind of object in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// The registry `name` with this `spec`, created as a person would.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn registry(&self, name: &str, spec: serde_json::Value) -> Result<Registry> {
        let registry = Registry::named(self, name);
        registry.create(spec).await?;
        Ok(registry)
    }

    /// Creates a Secret of text values.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn secret(&self, name: &str, values: &[(&str, &str)]) -> Result<()> {
        let data = values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            string_data: Some(data),
            ..Secret::default()
        };
        self.api::<Secret>()
            .create(&PostParams::default(), &secret)
            .await?;
        Ok(())
    }

    /// The text of one key of a Secret.
    ///
    /// # Errors
    /// When the Secret, the key, or text in it is missing.
    pub async fn secret_value(&self, name: &str, key: &str) -> Result<String> {
        let secret = self
            .api::<Secret>()
            .get(name)
            .await
            .with_context(|| format!("Secret {name}"))?;
        let value = secret
            .data
            .as_ref()
            .and_then(|data| data.get(key))
            .with_context(|| {
                let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key).collect();
                format!("Secret {name} has no key {key:?}, only {keys:?}")
            })?;
        Ok(String::from_utf8(value.0.clone())?)
    }

    async fn remove(&self) -> Result<()> {
        let registries = registry::api(self);
        for item in registries.list(&ListParams::default()).await? {
            let name = item.metadata.name.unwrap_or_default();
            registries
                .delete(&name, &DeleteParams::default())
                .await
                .ok();
        }
        eventually("the registries of the test are gone", async || {
            let left = registries.list(&ListParams::default()).await?.items;
            if left.is_empty() {
                Ok(())
            } else {
                Err(anyhow!(
                    "{} left; the first: {:?}",
                    left.len(),
                    left.first()
                ))
            }
        })
        .await?;
        Api::<core::Namespace>::all(self.cluster.client.clone())
            .delete(&self.name, &DeleteParams::default())
            .await?;
        Ok(())
    }
}
