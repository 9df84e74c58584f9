//! A `ContainerRegistry` as its user sees it: written as YAML would be, read by its status.

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    },
};
use serde_json::{Value, json};

use crate::{Crane, Namespace, wait::eventually};

/// The registries of a namespace.
#[must_use]
pub fn api(namespace: &Namespace) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("moorage.dev", "v1alpha1", "ContainerRegistry");
    let resource = ApiResource::from_gvk_with_plural(&kind, "containerregistries");
    Api::namespaced_with(namespace.cluster.client.clone(), &namespace.name, &resource)
}

/// One registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Where it is.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
}

impl Registry {
    /// The registry of that name, whether it exists or not.
    #[must_use]
    pub fn named(namespace: &Namespace, name: &str) -> Self {
        Self {
            namespace: namespace.clone(),
            name: name.to_owned(),
        }
    }

    fn api(&self) -> Api<DynamicObject> {
        api(&self.namespace)
    }

    /// Creates it.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn create(&self, spec: Value) -> Result<()> {
        let mut object = json!({
            "apiVersion": "moorage.dev/v1alpha1", "kind": "ContainerRegistry",
            "metadata": {"name": self.name, "namespace": self.namespace.name},
            // The S3 of this cluster has a private address, to which crane does not follow a redirect.
            "spec": {"storage": {"s3": {"redirect": false}}},
        });
        merge(&mut object, &json!({ "spec": spec }));
        self.api()
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(())
    }

    /// Changes it by a merge patch of the whole object.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn patch(&self, patch: Value) -> Result<()> {
        self.api()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Changes its spec by a merge patch.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn patch_spec(&self, spec: Value) -> Result<()> {
        self.patch(json!({ "spec": spec })).await
    }

    /// The object as it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self) -> Result<Value> {
        Ok(serde_json::to_value(self.api().get(&self.name).await?)?)
    }

    /// One value of its status, by JSON pointer below `/status`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self, pointer: &str) -> Result<Value> {
        let object = self.get().await?;
        object
            .pointer(&format!("/status{pointer}"))
            .cloned()
            .with_context(|| {
                format!(
                    "status has no {pointer}: {:#}",
                    object.get("status").unwrap_or(&Value::Null)
                )
            })
    }

    /// One text of its status, by JSON pointer below `/status`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status_text(&self, pointer: &str) -> Result<String> {
        let value = self.status(pointer).await?;
        value
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("status{pointer} is {value}, not text"))
    }

    /// Status, reason and message of a condition.
    ///
    /// # Errors
    /// When there is no such condition yet, or it speaks of an older generation.
    pub async fn condition(&self, kind: &str) -> Result<(String, String, String)> {
        let object = self.get().await?;
        let generation = object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64);
        let conditions = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .context("no conditions yet")?;
        let condition = conditions
            .iter()
            .find(|condition| condition["type"] == kind)
            .with_context(|| format!("no condition {kind} among {conditions:#?}"))?;
        ensure!(
            condition.get("observedGeneration").and_then(Value::as_i64) == generation,
            "condition {kind} is of another generation than {generation:?}: {condition}"
        );
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Waits until it is Ready for what its spec now says, and until this machine has learnt the way to its pods.
    ///
    /// # Errors
    /// The conditions, when it does not get ready.
    pub async fn ready(&self) -> Result<()> {
        eventually(
            &format!("registry {} is Ready", self.name),
            async || match self.condition("Ready").await? {
                (status, _, _) if status == "True" => Ok(()),
                _ => Err(anyhow!("status is {:#}", self.status("").await?)),
            },
        )
        .await?;
        let url = format!("http://{}/", self.address().await?);
        eventually(&format!("{url} answers"), async || {
            reqwest::get(&url).await?.error_for_status().map(drop)
        })
        .await
    }

    /// Waits until a condition is `False` with a message that has all of `words` in it.
    ///
    /// # Errors
    /// The condition as it was last.
    pub async fn complains(&self, kind: &str, words: &[&str]) -> Result<()> {
        eventually(
            &format!("condition {kind} is False and says {words:?}"),
            async || {
                let (status, reason, message) = self.condition(kind).await?;
                let said = words.iter().all(|word| message.contains(word));
                if status == "False" && said {
                    Ok(())
                } else {
                    Err(anyhow!("{kind}={status} ({reason}): {message}"))
                }
            },
        )
        .await
    }

    /// Deletes it and waits until it is gone.
    ///
    /// # Errors
    /// What it still is, when it does not go.
    pub async fn delete(&self) -> Result<()> {
        self.api()
            .delete(&self.name, &DeleteParams::default())
            .await?;
        self.gone().await
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// What it still is, when it does not go.
    pub async fn gone(&self) -> Result<()> {
        eventually(
            &format!("registry {} is gone", self.name),
            async || match self.api().get_opt(&self.name).await? {
                None => Ok(()),
                Some(object) => Err(anyhow!("still there: {:#}", serde_json::to_value(&object)?)),
            },
        )
        .await
    }

    /// The address on this machine where its Service answers: what a load balancer would stand in front of.
    ///
    /// # Errors
    /// When there is no Service yet.
    pub async fn address(&self) -> Result<String> {
        let service = self
            .namespace
            .api::<Service>()
            .get(&self.name)
            .await
            .context("the registry's Service")?;
        let spec = service.spec.context("a Service has a spec")?;
        let ip = spec
            .cluster_ip
            .context("the Service has no cluster IP yet")?;
        let port = spec
            .ports
            .iter()
            .flatten()
            .next()
            .context("the Service has no port")?
            .port;
        Ok(format!("{ip}:{port}"))
    }

    /// The password of a login that the operator generated or copied.
    ///
    /// # Errors
    /// When there is no such login yet.
    pub async fn password(&self, user: &str) -> Result<String> {
        self.namespace
            .secret_value(&format!("{}-login-{user}", self.name), "password")
            .await
    }

    /// `crane`, logged in as `user`.
    ///
    /// # Errors
    /// When the login fails.
    pub async fn crane(&self, user: &str) -> Result<Crane> {
        let crane = Crane::new(&self.namespace.cluster)?;
        crane
            .login(&self.address().await?, user, &self.password(user).await?)
            .await?;
        Ok(crane)
    }

    /// Pushes a small image to `repository` and pulls it again, byte for byte.
    ///
    /// # Errors
    /// Where either fails, or the bytes differ.
    pub async fn carries_an_image(&self, repository: &str) -> Result<()> {
        let crane = self.crane("admin").await?;
        let reference = format!("{}/{repository}:v1", self.address().await?);
        let pushed = crane.push_small_image(&reference).await?;
        let pulled = crane.pull_layer(&reference).await?;
        if pushed != pulled {
            bail!("the layer that was pulled from {reference} is not the one that was pushed");
        }
        Ok(())
    }
}

/// Puts `patch` over `target`, object by object (RFC 7396, without removal).
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => patch.clone_into(target),
    }
}
