//! What every reconcile shares. Built once.

use std::{sync::Arc, time::Duration};

use kube::{Client, core::DeserializeGuard, runtime::reflector::Store};
use moorage_crds::ContainerRegistry;

use crate::{
    aws::Cloud,
    controller::{
        claims::{self, Claim},
        memory::Memory,
        validate::Defaults,
    },
    events::Events,
};

/// What every reconcile shares.
#[derive(Clone)]
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// AWS.
    pub cloud: Arc<dyn Cloud>,
    /// Events.
    pub events: Events,
    /// All registries of the cluster, as far as they have been seen.
    pub registries: Store<DeserializeGuard<ContainerRegistry>>,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// How often AWS is looked at when nothing has changed.
    pub resync_period: Duration,
    /// What is remembered between two reconciles.
    pub memory: Arc<Memory>,
}

impl Context {
    /// What other registries want of the bucket of this claim. The claim itself may be among them.
    #[must_use]
    pub fn claims_beside(&self, claim: &Claim) -> Vec<Claim> {
        let registries = self.registries.state();
        let understood = registries.iter().filter_map(|guard| guard.0.as_ref().ok());
        claims::on_the_bucket_of(claim, understood, &self.defaults.cluster)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("defaults", &self.defaults)
            .field("cloud", &self.cloud)
            .finish_non_exhaustive()
    }
}
