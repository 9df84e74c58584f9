//! End-to-end tests of Moorage on a real cluster.
//!
//! This library is the vocabulary (a cluster, a namespace, a registry, `crane`, what AWS holds); the sentences are in `tests/`. The cluster
//! is the one that `moorage-local-cluster up` made: real Kubernetes, a real node, moto with IAM enforced, the real AWS cloud controller.
//!
//! Nothing here talks to Moorage's code: custom resources are written as people write them, so that what is tested is the wire.

pub mod aws;
pub mod cluster;
pub mod crane;
pub mod diagnosis;
pub mod namespace;
pub mod registry;
pub mod wait;

pub use self::{
    cluster::Cluster,
    crane::Crane,
    namespace::{Namespace, in_namespace},
    registry::Registry,
    wait::{eventually, never_within},
};
