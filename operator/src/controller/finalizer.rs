//! The finalizer: put on before anything is made, taken off when nothing is left to remove.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use moorage_crds::{ContainerRegistry, names::FINALIZER};
use serde_json::json;
use snafu::{ResultExt, Snafu};

/// The finalizers could not be changed.
#[derive(Debug, Snafu)]
#[snafu(
    display("failed to change the finalizers of ContainerRegistry {namespace}/{name}"),
    context(name(ChangeSnafu))
)]
pub struct Error {
    namespace: String,
    name: String,
    #[snafu(source(from(kube::Error, Box::new)))]
    source: Box<kube::Error>,
}

/// Whether the object waits for us.
pub(super) fn is_on(metadata: &ObjectMeta) -> bool {
    metadata
        .finalizers
        .iter()
        .flatten()
        .any(|one| one == FINALIZER)
}

pub(super) async fn put_on(client: &Client, metadata: &ObjectMeta) -> Result<(), Error> {
    set(
        client,
        metadata,
        others(metadata).chain([FINALIZER]).collect(),
    )
    .await
}

pub(super) async fn take_off(client: &Client, metadata: &ObjectMeta) -> Result<(), Error> {
    set(client, metadata, others(metadata).collect()).await
}

fn others(metadata: &ObjectMeta) -> impl Iterator<Item = &str> {
    let all = metadata.finalizers.iter().flatten().map(String::as_str);
    all.filter(|one| *one != FINALIZER)
}

/// Refused by the API when somebody else has changed the object in the meantime, or it is another one of the same name; then the
/// change wakes us.
async fn set(client: &Client, metadata: &ObjectMeta, finalizers: Vec<&str>) -> Result<(), Error> {
    let name = metadata.name.clone().unwrap_or_default();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    // Of metadata alone, because the spec may be one that we do not understand.
    let api = Api::<ContainerRegistry>::namespaced(client.clone(), &namespace);
    let patch = json!({ "metadata": {
        "finalizers": finalizers,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }});
    match api
        .patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(source).context(ChangeSnafu { namespace, name }),
    }
}
