//! Names that appear in a cluster and that people, dashboards and other controllers may rely on. They are never renamed.

/// API group of all Moorage kinds, and prefix of its annotations, labels and AWS tags.
pub const GROUP: &str = "moorage.dev";

/// Finalizer on each `ContainerRegistry`: keeps the object until what it owns in AWS is gone or left behind on purpose.
pub const FINALIZER: &str = "moorage.dev/cloud-resources";

/// Annotation on a `ContainerRegistry`: any new value makes the operator look at AWS again at once.
pub const RECONCILE_ANNOTATION: &str = "moorage.dev/reconcile";

/// Annotation on a `ContainerRegistry`: `"true"` lets its deletion end without touching AWS.
///
/// What is left behind is listed in an event. Meant for an account that no longer exists or cannot be reached.
pub const ABANDON_ANNOTATION: &str = "moorage.dev/abandon";

/// Annotation on each object that the operator writes: hash of what it should be, so that a field that is no longer wanted is noticed.
pub const DESIRED_HASH_ANNOTATION: &str = "moorage.dev/desired-hash";

/// Annotation on the pods of a registry: checksum of what the server reads only at its start, so that a change rolls them.
pub const CHECKSUM_ANNOTATION: &str = "moorage.dev/checksum";

/// Label on each object that the operator writes: name of the `ContainerRegistry`.
pub const REGISTRY_LABEL: &str = "moorage.dev/registry";

/// Field manager of everything that the operator writes, for server-side apply.
pub const FIELD_MANAGER: &str = "moorage-operator";
