//! What wakes a reconcile: the registries themselves, the objects that belong to them, and the Secrets that they name.
//!
//! Of everything but the registries only metadata is watched, and none of it is kept: at a thousand registries in a cluster of ten
//! thousand Secrets the operator still holds only the registries.

use std::{future, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Controller, WatchStreamExt,
        controller::Config as ControllerConfig,
        reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use moorage_crds::{ContainerRegistry, names::REGISTRY_LABEL};
use tracing::{debug, info, warn};

use super::{
    dereference::named_secrets, memory::Memory, naming, reconcile, schedule::error_policy,
    server_state, validate::Defaults,
};
use crate::{aws::Cloud, context::Context, events::Events, health::Ready};

type Guarded = DeserializeGuard<ContainerRegistry>;

/// How often the API is asked whether it knows our kind, while it does not.
const DEFINITION_AGAIN: Duration = Duration::from_secs(5);
/// Changes of one registry that come within this time are worked on together.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// What the controller needs.
#[derive(Clone)]
pub struct Settings {
    /// The Kubernetes API.
    pub client: Client,
    /// AWS.
    pub cloud: Arc<dyn Cloud>,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// How often AWS is looked at when nothing has changed.
    pub resync_period: Duration,
    /// Registries that are worked on at the same time.
    pub concurrency: u16,
}

/// Runs until SIGTERM or SIGINT, and then until the reconciles under way have ended.
pub async fn run(settings: Settings, ready: Ready) {
    let Settings {
        client,
        cloud,
        defaults,
        resync_period,
        concurrency,
    } = settings;
    let registries = Api::<Guarded>::all(client.clone());
    tokio::select! {
        () = known(&client) => {}
        _ = tokio::signal::ctrl_c() => return,
        () = terminated() => return,
    }
    let (store, writer) = reflector::store();
    // Who wrote which field is more than half of an object, nobody here reads it, and all registries are held.
    let seen = watcher(registries, watcher::Config::default())
        .modify(|registry| registry.managed_fields_mut().clear());
    let controller =
        Controller::for_stream(reflector(writer, seen).applied_objects(), store.clone());
    let context = Arc::new(Context {
        events: Events::new(client.clone()),
        client: client.clone(),
        cloud,
        registries: store.clone(),
        defaults,
        resync_period,
        memory: Arc::new(Memory::default()),
    });
    let reconciles = wake_up(controller, &client)
        .with_config(
            ControllerConfig::default()
                .concurrency(concurrency)
                .debounce(DEBOUNCE),
        )
        .shutdown_on_signal()
        .run(reconcile, error_policy, context)
        .for_each(|outcome| {
            match outcome {
                Ok((registry, _)) => debug!(%registry, "reconciled"),
                // Gone in the meantime, which is how a deletion ends.
                Err(kube::runtime::controller::Error::ObjectNotFound(registry)) => {
                    debug!(%registry, "gone");
                }
                Err(error) => {
                    warn!(error = %snafu::Report::from_error(error), "failed to reconcile");
                }
            }
            future::ready(())
        });
    let announce = async {
        if store.wait_until_ready().await.is_ok() {
            info!(registries = store.len(), "ready");
            ready.set();
        }
        future::pending::<()>().await;
    };
    tokio::select! {
        () = reconciles => info!("stopped"),
        () = announce => {}
    }
}

/// What wakes a reconcile, beside the registry itself.
fn wake_up(controller: Controller<Guarded>, client: &Client) -> Controller<Guarded> {
    let readers = controller.store();
    let ours = watcher::Config::default().labels(REGISTRY_LABEL);
    let secrets = Api::<PartialObjectMeta<Secret>>::all(client.clone());
    controller
        .owns(
            Api::<PartialObjectMeta<Deployment>>::all(client.clone()),
            ours.clone(),
        )
        .owns(
            Api::<PartialObjectMeta<Service>>::all(client.clone()),
            ours.clone(),
        )
        .owns(
            Api::<PartialObjectMeta<ServiceAccount>>::all(client.clone()),
            ours,
        )
        .watches(secrets, watcher::Config::default(), move |secret| {
            touched_by(&secret, &readers)
        })
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => future::pending().await,
    }
}

/// Waits until the API knows our kind, and says so while it does not.
async fn known(client: &Client) {
    let api = Api::<Guarded>::all(client.clone());
    loop {
        match api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                warn!(
                    "the cluster does not know ContainerRegistry; install it with `kubectl apply -f crds/containerregistries.yaml`"
                );
            }
            Err(kube::Error::Api(status)) => {
                warn!(
                    code = status.code,
                    message = status.message,
                    "the cluster refuses to list ContainerRegistry"
                );
            }
            Err(error) => {
                warn!(error = %snafu::Report::from_error(error), "the Kubernetes API cannot be reached");
            }
        }
        tokio::time::sleep(DEFINITION_AGAIN).await;
    }
}

/// The registries that a Secret concerns: the one that owns it, and those that name it.
fn touched_by(
    secret: &PartialObjectMeta<Secret>,
    registries: &Store<Guarded>,
) -> Vec<ObjectRef<Guarded>> {
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let owner = secret.labels().get(REGISTRY_LABEL).cloned();
    let concerns = |registry: &ContainerRegistry| {
        let own = registry.name_any();
        owner.as_ref() == Some(&own)
            || named_secrets(&registry.spec).contains(&name)
            // A foreign Secret that bears one of our names and now goes away.
            || name.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with('-'))
    };
    let registries = registries.state();
    let here = registries
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok().map(|registry| (guard, registry)));
    here.filter(|(_, registry)| {
        registry.namespace().as_deref() == Some(namespace.as_str()) && concerns(registry)
    })
    .map(|(guard, _)| ObjectRef::from_obj(guard.as_ref()))
    .collect()
}

/// The pods, when they are not as they should be; else nobody needs to see them.
pub(super) async fn troubled_pods(
    client: &Client,
    namespace: &str,
    registry: &str,
    deployment: &Deployment,
) -> Result<Vec<Pod>, kube::Error> {
    if server_state::is_settled(deployment) {
        return Ok(Vec::new());
    }
    let selected = ListParams::default().labels(&naming::query(&naming::selector(registry)));
    Ok(Api::<Pod>::namespaced(client.clone(), namespace)
        .list(&selected)
        .await?
        .items)
}
