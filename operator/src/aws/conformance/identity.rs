//! The user of a registry, its policy and its keys.

use super::*;

pub(super) async fn a_managed_policy_is_made_attached_and_kept_as_it_should_be(stage: &dyn Stage) {
    let mut want = wanted("managed");
    // Where buckets have no location constraint.
    want.bucket.region = "us-east-1".parse().unwrap();
    with_policy(&mut want, PolicyKind::Managed);
    let (observed, _) = settle(stage, &mut want).await;
    let arn = observed.managed_policy.expect("the policy is there").arn;
    assert_eq!(observed.user.unwrap().attached, std::slice::from_ref(&arn));
    // AWS keeps five versions; a seventh change finds room all the same.
    for turn in 0..7 {
        want.bucket.prefix = format!("turn-{turn}").parse().unwrap();
        let (_, done) = settle(stage, &mut want).await;
        assert!(
            done.contains(&format!("write a new version of IAM policy {arn}")),
            "{done:?}"
        );
    }
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    let observed = look(stage, &want).await;
    assert_eq!((observed.managed_policy, observed.user), (None, None));
}

pub(super) async fn the_policy_moves_between_inline_and_managed_and_leaves_nothing(
    stage: &dyn Stage,
) {
    let mut want = wanted("moving");
    settle(stage, &mut want).await;
    let key = recorded(&want);
    with_policy(&mut want, PolicyKind::Managed);
    let (observed, _) = settle(stage, &mut want).await;
    assert!(observed.managed_policy.is_some() && observed.user.unwrap().inline.is_none());
    with_policy(&mut want, PolicyKind::Inline);
    let (observed, _) = settle(stage, &mut want).await;
    assert!(observed.managed_policy.is_none() && observed.user.unwrap().attached.is_empty());
    assert_eq!(recorded(&want), key, "the key stays");
}

pub(super) async fn a_user_that_is_not_ours_is_left_alone(stage: &dyn Stage) {
    let mut want = wanted("namesake");
    let user = want.owner.user_name();
    stage.make_user(user.as_str()).await;
    let (observed, _) = settle(stage, &mut want).await;
    assert_eq!(reasons(&want, &observed), [BlockedReason::UserNotOurs]);
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    let observed = look(stage, &want).await;
    assert!(
        observed
            .user
            .is_some_and(|user| user.path == "/" && user.keys.is_empty())
    );
    assert_eq!(observed.bucket, BucketState::Absent);
}

/// Its key is not known to the new registry, so it gets another one.
pub(super) async fn a_user_left_by_an_earlier_registry_of_the_same_name_is_taken_over(
    stage: &dyn Stage,
) {
    let mut want = wanted("abandoned");
    settle(stage, &mut want).await;
    let first = recorded(&want).unwrap();
    let mut want = wanted("abandoned");
    want.owner.uid = "another-uid".to_owned();
    let (observed, _) = settle(stage, &mut want).await;
    let user = observed.user.unwrap();
    assert_eq!(user.tags["moorage.dev/uid"], "another-uid");
    assert!(user.keys.len() == 1 && user.keys[0].id != first);
}

pub(super) async fn rights_that_somebody_added_are_taken_away(stage: &dyn Stage) {
    let mut want = wanted("widened");
    settle(stage, &mut want).await;
    let user = want.owner.user_name();
    stage.add_inline_policy(user.as_str(), "everything").await;
    stage.add_inline_policy(user.as_str(), POLICY_NAME).await;
    let arn = stage.attach_a_policy(user.as_str()).await;
    let observed = look(stage, &want).await;
    assert_eq!(observed.user.as_ref().unwrap().attached, [arn]);
    let (observed, done) = settle(stage, &mut want).await;
    assert_eq!(done.len(), 3, "{done:?}");
    let user = observed.user.unwrap();
    assert!(user.other_inline.is_empty() && user.attached.is_empty());
}

pub(super) async fn a_key_that_nobody_recorded_is_deleted(stage: &dyn Stage) {
    let mut want = wanted("forgetful");
    settle(stage, &mut want).await;
    let first = recorded(&want).unwrap();
    // Two runs that were stopped before they wrote the Secret: the second has no room for a third key.
    carry_out(
        stage,
        &mut want.clone(),
        &[Step::CreateAccessKey {
            user: want.owner.user_name(),
        }],
    )
    .await;
    let third = stage
        .cloud()
        .carry_out(
            &want,
            &Step::CreateAccessKey {
                user: want.owner.user_name(),
            },
        )
        .await;
    assert!(
        matches!(
            third,
            Err(Error {
                kind: Kind::LimitExceeded { .. },
                ..
            })
        ),
        "{third:?}"
    );
    let (observed, done) = settle(stage, &mut want).await;
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(
        observed.user.unwrap().keys[0].id,
        first,
        "the key in use stays"
    );
    record(&mut want, None);
    let (observed, _) = settle(stage, &mut want).await;
    let keys = observed.user.unwrap().keys;
    assert_eq!(
        keys.iter().map(|key| &key.id).collect::<Vec<_>>(),
        [&recorded(&want).unwrap()]
    );
    assert_ne!(keys[0].id, first);
}

pub(super) async fn an_inactive_key_is_replaced(stage: &dyn Stage) {
    let mut want = wanted("revoked");
    settle(stage, &mut want).await;
    let first = recorded(&want).unwrap();
    stage
        .deactivate_key(want.owner.user_name().as_str(), &first)
        .await;
    let (observed, _) = settle(stage, &mut want).await;
    let keys = observed.user.unwrap().keys;
    assert!(
        keys.len() == 1 && keys[0].active && keys[0].id != first,
        "{keys:?}"
    );
}

pub(super) async fn a_former_user_is_removed_when_keys_are_provided(stage: &dyn Stage) {
    let mut want = wanted("convert");
    settle(stage, &mut want).await;
    want.identity = DesiredIdentity::Provided {
        former_user: Some(want.owner.user_name()),
    };
    let (observed, _) = settle(stage, &mut want).await;
    assert_eq!(observed.user, None);
    want.identity = DesiredIdentity::Provided { former_user: None };
    assert_eq!(settle(stage, &mut want).await.1, Vec::<String>::new());
}
