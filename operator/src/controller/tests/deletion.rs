//! How registries end.

use super::*;

#[tokio::test]
async fn a_deleted_registry_keeps_its_bucket_and_nothing_else() {
    let mut world = World::made(&json!({})).await;
    world.delete();
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
    let cloud = world.cloud.world();
    assert_eq!((cloud.buckets.len(), cloud.users.len()), (1, 0));
}

#[tokio::test]
async fn deleting_waits_for_the_load_balancer_and_says_so() {
    let mut world = World::made(&json!({"storage": {"s3": {"deletionPolicy": "Delete"}}})).await;
    let terminating = json!({"finalizers": ["service.kubernetes.io/load-balancer-cleanup"], "deletionTimestamp": "2026-01-01T00:00:00Z"});
    world.api.edit(SERVICE, |service| {
        for (key, value) in terminating.as_object().expect("an object") {
            service["metadata"][key] = value.clone();
        }
    });
    world.delete();
    world.reconcile().await;
    assert_eq!(world.cloud.calls(), Vec::<String>::new());
    let status = world.api.registry().status.expect("a status");
    let message = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == condition::RECONCILING)
        .map(|found| found.message.clone());
    assert!(
        message
            .expect("it is there")
            .contains("load-balancer-cleanup")
    );
    world.api.state().objects.remove(SERVICE);
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
    assert!(world.cloud.world().buckets.is_empty());
}

#[tokio::test]
async fn a_registry_that_never_became_anything_can_be_deleted() {
    // Invalid in every way, and its Secrets were never there.
    let spec = json!({
        "storage": {"s3": {"bucket": "xn--no", "deletionPolicy": "Delete"}}, "identity": {"secretRef": {"name": "none"}},
        "auth": {"users": [{"name": "ci", "passwordSecretRef": {"name": "none"}}]}
    });
    let mut world = World::new(&spec);
    world.reconcile().await;
    world.reconcile().await;
    world.delete();
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
}

#[tokio::test]
async fn an_account_that_is_gone_holds_a_deletion_up_until_it_is_abandoned() {
    let mut world = World::made(&json!({})).await;
    world.cloud.fail_next("observe", Kind::NoCredentials);
    world.delete();
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), [FINALIZER]);
    assert_eq!(
        world.condition(condition::STALLED),
        is("True", "NoCredentials")
    );
    world.annotate(ABANDON_ANNOTATION, "true");
    world.cloud.take_calls();
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
    assert_eq!(world.cloud.calls(), Vec::<String>::new());
    let state = world.api.state();
    let (_, left) = state
        .events
        .iter()
        .find(|(reason, _)| reason == "Abandoned")
        .expect("an event says what is left");
    assert!(left.contains("moorage-team-a-images-"), "{left}");
}

/// Who deletes a namespace must not find it waiting for a switch that was meant for changes.
#[tokio::test]
async fn a_suspended_registry_can_be_deleted() {
    let mut world = World::made(&json!({})).await;
    let mut registry = world.api.registry();
    registry.spec.suspend = true;
    world.api.put_registry(&registry);
    world.reconcile().await;
    world.delete();
    world.reconcile().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
    let cloud = world.cloud.world();
    assert_eq!((cloud.buckets.len(), cloud.users.len()), (1, 0));
}

/// After a downgrade the cluster may have a spec that this operator cannot read. It cannot know what to delete then, and says so.
#[tokio::test]
async fn a_registry_that_is_not_understood_can_be_abandoned() {
    let mut world = World::made(&json!({})).await;
    world.delete();
    world.reconcile_what_is_not_understood().await;
    assert_eq!(world.api.registry().finalizers(), [FINALIZER]);
    let (_, note) = world.api.state().events.last().cloned().expect("an event");
    assert!(
        note.contains(ABANDON_ANNOTATION) && note.contains("unknown variant"),
        "{note}"
    );
    world.annotate(ABANDON_ANNOTATION, "true");
    world.reconcile_what_is_not_understood().await;
    assert_eq!(world.api.registry().finalizers(), Vec::<String>::new());
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
}
