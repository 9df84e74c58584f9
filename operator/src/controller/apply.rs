//! Step 6: brings the Kubernetes objects to what they should be. The only writer of them; writes only what differs.

use std::{collections::BTreeSet, fmt::Debug, marker::PhantomData};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use moorage_crds::{ContainerRegistry, names::FIELD_MANAGER};
use serde::{Serialize, de::DeserializeOwned};
use snafu::{ResultExt, Snafu};

use super::{
    build::{Applied, Prepared, Resources},
    compare,
    dereference::Live,
    report::Part,
    validate::is_foreign,
};
use crate::events::Events;

/// An object could not be written.
#[derive(Debug, Snafu)]
pub enum Error {
    /// It cannot be expressed as JSON, which is a mistake of ours.
    #[snafu(display("failed to express {kind} {name:?} as JSON"))]
    Express {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The API refused it.
    #[snafu(display("failed to {verb} {kind} {name:?}"))]
    Write {
        /// "apply" or "delete".
        verb: &'static str,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[snafu(source(from(kube::Error, Box::new)))]
        source: Box<kube::Error>,
    },
}

impl Error {
    /// What the API said.
    #[must_use]
    pub fn cause(&self) -> Option<&kube::Error> {
        match self {
            Self::Express { .. } => None,
            Self::Write { source, .. } => Some(source),
        }
    }

    /// The part that is held up.
    #[must_use]
    pub fn part(&self) -> Part {
        let (Self::Express { kind, .. } | Self::Write { kind, .. }) = self;
        match kind.as_str() {
            "Service" => Part::Endpoint,
            "Secret" => Part::Auth,
            _ => Part::Server,
        }
    }
}

/// Who writes, and for whom.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// Where to.
    pub client: &'a Client,
    /// Where it is told.
    pub events: &'a Events,
    /// For whom.
    pub registry: &'a ContainerRegistry,
}

/// Everything, in the order in which it is needed: a pod that starts finds its Secrets, and traffic finds pods.
///
/// # Errors
/// At the first object that cannot be written. What was written stays; the next run goes on from there.
pub async fn apply(
    writer: Writer<'_>,
    resources: Resources<Prepared>,
    live: &Live,
) -> Result<Resources<Applied>, Error> {
    // Without `..`: an object that is built and not applied does not compile.
    let Resources {
        secrets,
        service_account,
        deployment,
        service,
        state: PhantomData,
    } = resources;
    let mut applied = Vec::new();
    for secret in secrets {
        let found = live.secrets.get(&secret.name_any());
        applied.push(writer.one(found, secret).await?);
    }
    let service_account = writer
        .one::<ServiceAccount>(live.service_account.as_ref(), service_account)
        .await?;
    let deployment = writer
        .one::<Deployment>(live.deployment.as_ref(), deployment)
        .await?;
    let service = writer
        .one::<Service>(live.service.as_ref(), service)
        .await?;
    writer.prune(&applied, live).await?;
    Ok(Resources {
        secrets: applied,
        service_account,
        deployment,
        service,
        state: PhantomData,
    })
}

impl Writer<'_> {
    /// One object. Returns it as the cluster has it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn one<K>(&self, live: Option<&K>, desired: K) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let (kind, name) = (K::kind(&()).into_owned(), desired.name_any());
        let express = ExpressSnafu {
            kind: &kind,
            name: &name,
        };
        let mut wanted = serde_json::to_value(&desired).context(express)?;
        compare::stamp(&mut wanted);
        if let Some(live) = live {
            let found = serde_json::to_value(live).context(ExpressSnafu {
                kind: &kind,
                name: &name,
            })?;
            if compare::contains(&found, &wanted) {
                return Ok(live.clone());
            }
        }
        let api = Api::<K>::namespaced(
            self.client.clone(),
            &desired.namespace().unwrap_or_default(),
        );
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let written = api
            .patch(&name, &parameters, &Patch::Apply(&wanted))
            .await
            .context(WriteSnafu {
                verb: "apply",
                kind: &kind,
                name: &name,
            })?;
        let (reason, verb) = if live.is_some() {
            ("Updated", "updated")
        } else {
            ("Created", "created")
        };
        tracing::info!(kind, name, verb, "wrote an object");
        self.events
            .changed(
                self.registry,
                &format!("{kind}{reason}"),
                &format!("{verb} {kind} {name}"),
            )
            .await;
        Ok(written)
    }

    /// Deletes the Secrets of users that are no longer in the spec.
    async fn prune(&self, wanted: &[Secret], live: &Live) -> Result<(), Error> {
        let uid = self.registry.uid().unwrap_or_default();
        let wanted: BTreeSet<String> = wanted.iter().map(ResourceExt::name_any).collect();
        for (name, secret) in live
            .secrets
            .iter()
            .filter(|(name, _)| !wanted.contains(*name))
        {
            if !is_foreign(secret, &uid) {
                self.delete(secret).await.context(WriteSnafu {
                    verb: "delete",
                    kind: "Secret",
                    name,
                })?;
            }
        }
        Ok(())
    }

    /// Deletes exactly this object, not one of the same name that came after it. Fine when it is gone already.
    pub(super) async fn delete<K>(&self, object: &K) -> Result<(), kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
        let api =
            Api::<K>::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: object.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api.delete(&name, &parameters).await {
            Ok(_) => {
                tracing::info!(kind, name, "deleted an object");
                self.events
                    .changed(
                        self.registry,
                        &format!("{kind}Deleted"),
                        &format!("deleted {kind} {name}"),
                    )
                    .await;
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }
}
