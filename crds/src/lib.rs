//! The API types of Moorage: the `ContainerRegistry` custom resource, and the names that other people's tools may rely on.
//!
//! What is here is the contract with users: fields, defaults, bounds, rules, conditions, reasons. What is deliberately not here:
//! any behaviour. The crate knows neither a Kubernetes client nor AWS, so that anything may depend on it.
//!
//! [`custom_resource_definition`] is the definition as a cluster gets it; `crds/containerregistries.yaml` is printed from it.

#![expect(
    clippy::doc_markdown,
    reason = "the documentation of a field is what `kubectl explain` prints, where backticks around each name are noise"
)]
#![expect(
    unreachable_pub,
    reason = "the derive of `KubeSchema` repeats each public struct inside a function"
)]

mod auth;
pub mod condition;
mod definition;
mod identity;
pub mod names;
mod registry;
mod server;
mod service;
mod status;
mod storage;
mod tls;

pub use auth::{AuthSpec, SecretKeyRef, UserSpec};
pub use definition::{FILE, custom_resource_definition, custom_resource_definition_yaml};
pub use identity::{IamUserSpec, IdentitySpec, PolicyKind, SecretRef};
pub use registry::{ContainerRegistry, ContainerRegistrySpec};
pub use server::{ImagePullPolicy, ImagePullSecret, LogFormat, LogLevel, ServerSpec};
pub use service::{ExternalTrafficPolicy, Scheme, ServiceSpec, ServiceType};
pub use status::{
    AuthStatus, CertificateStatus, ContainerRegistryStatus, IdentityStatus, LoadBalancerStatus,
    Provenance, StorageStatus,
};
pub use storage::{DeletionPolicy, ExistingBucket, S3Spec, StorageSpec};
pub use tls::{AcmSpec, IamServerCertificateSpec, TlsSpec};
