//! Whose a bucket is, and what becomes of it.

use std::collections::BTreeMap;

use super::*;

pub(super) async fn a_bucket_of_another_account_is_refused(stage: &dyn Stage) {
    for existing in [Existing::Refuse, Existing::Adopt] {
        let mut want = wanted("burglar");
        want.bucket.name = stage.bucket_of_another_account().parse().unwrap();
        want.bucket.existing = existing;
        let observed = look(stage, &want).await;
        assert_eq!(observed.bucket, BucketState::Forbidden);
        assert_eq!(plan(&want, &observed).steps, []);
        assert_eq!(
            reasons(&want, &observed),
            [BlockedReason::BucketOwnedByAnotherAccount]
        );
        let create = Step::CreateBucket {
            bucket: want.bucket.name.clone(),
            region: want.bucket.region.clone(),
            tags: want.owner.tags(),
        };
        let error = stage.cloud().carry_out(&want, &create).await.unwrap_err();
        assert!(matches!(error.kind, Kind::OwnedElsewhere { .. }), "{error}");
    }
}

pub(super) async fn a_bucket_that_was_there_before_is_refused(stage: &dyn Stage) {
    let want = declared_late("latecomer");
    stage
        .make_bucket("bucket-of-latecomer", "eu-west-1", &[("owner", "somebody")])
        .await;
    let observed = look(stage, &want).await;
    assert_eq!(reasons(&want, &observed), [BlockedReason::BucketExists]);
    assert_eq!(plan(&want, &observed).steps, []);
    assert_eq!(plan_deletion(&want, &observed, DeletionPolicy::Delete), []);
}

pub(super) async fn an_adopted_bucket_is_never_tagged_and_never_deleted(stage: &dyn Stage) {
    let mut want = wanted("adopter");
    want.bucket.existing = Existing::Adopt;
    stage
        .make_bucket("bucket-of-adopter", "eu-west-1", &[("owner", "somebody")])
        .await;
    stage.put_object("bucket-of-adopter", "old/data").await;
    let (observed, done) = settle(stage, &mut want).await;
    assert!(
        !done.iter().any(|step| step.contains("bucket-of-adopter")),
        "{done:?}"
    );
    assert_eq!(
        tags(&observed),
        BTreeMap::from([("owner".to_owned(), "somebody".to_owned())])
    );
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    assert_eq!(
        stage.keys("bucket-of-adopter").await,
        Some(vec!["old/data".to_owned()])
    );
    assert_eq!(look(stage, &want).await.user, None);
}

pub(super) async fn a_bucket_in_another_region_is_refused(stage: &dyn Stage) {
    let mut want = wanted("traveller");
    want.bucket.existing = Existing::Adopt;
    stage
        .make_bucket("bucket-of-traveller", "eu-central-1", &[])
        .await;
    let observed = look(stage, &want).await;
    assert_eq!(
        reasons(&want, &observed),
        [BlockedReason::BucketInAnotherRegion]
    );
    let message = &plan(&want, &observed).blocked[0].message;
    assert!(
        message.contains("eu-central-1") && message.contains("eu-west-1"),
        "{message}"
    );
}

pub(super) async fn a_retained_bucket_is_found_again(stage: &dyn Stage) {
    let mut want = wanted("returning");
    settle(stage, &mut want).await;
    stage.put_object("bucket-of-returning", "docker/data").await;
    delete(stage, &mut want, DeletionPolicy::Retain).await;
    let mut want = declared_late("returning");
    want.owner.uid = "another-uid".to_owned();
    let (observed, done) = settle(stage, &mut want).await;
    assert!(
        done.contains(&"tag bucket bucket-of-returning".to_owned()),
        "{done:?}"
    );
    assert_eq!(tags(&observed)["moorage.dev/uid"], "another-uid");
    assert_eq!(
        stage.keys("bucket-of-returning").await,
        Some(vec!["docker/data".to_owned()])
    );
}

pub(super) async fn tags_of_the_spec_come_and_go_and_those_of_others_stay(stage: &dyn Stage) {
    let mut want = wanted("tagged");
    let mut labels = want.owner.tags();
    labels.insert("cost-centre".to_owned(), "42".to_owned());
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    stage
        .make_bucket("bucket-of-tagged", "eu-west-1", &labels)
        .await;
    let (observed, _) = settle(stage, &mut want).await;
    let have = tags(&observed);
    assert_eq!(
        (have["cost-centre"].as_str(), have["team"].as_str()),
        ("42", "a")
    );
    want.bucket.tags.insert("team".to_owned(), "b".to_owned());
    let (observed, _) = settle(stage, &mut want).await;
    let have = tags(&observed);
    assert_eq!(
        (have["cost-centre"].as_str(), have["team"].as_str()),
        ("42", "b")
    );
    want.bucket.tags.clear();
    let (observed, _) = settle(stage, &mut want).await;
    let mut left = want.owner.tags();
    left.insert("cost-centre".to_owned(), "42".to_owned());
    assert_eq!(tags(&observed), left, "what leaves the spec is taken off");
}

pub(super) async fn deleting_takes_versions_markers_and_uploads_too(stage: &dyn Stage) {
    let mut want = wanted("emptied");
    settle(stage, &mut want).await;
    let bucket = "bucket-of-emptied";
    stage.keep_versions(bucket).await;
    for key in ["a", "b/c", "b/d"] {
        stage.put_object(bucket, key).await;
        stage.put_object(bucket, key).await;
    }
    stage.delete_object(bucket, "a").await;
    stage.begin_upload(bucket, "b/upload").await;
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    assert_eq!(stage.keys(bucket).await, None);
}

pub(super) async fn deleting_a_prefix_leaves_the_rest_of_the_bucket(stage: &dyn Stage) {
    let mut want = wanted("tenant");
    want.bucket.prefix = "team-a".parse().unwrap();
    settle(stage, &mut want).await;
    let bucket = "bucket-of-tenant";
    for key in ["team-a/x", "team-a/y/z", "team-ab/other", "root"] {
        stage.put_object(bucket, key).await;
    }
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    assert_eq!(
        stage.keys(bucket).await,
        Some(vec!["root".to_owned(), "team-ab/other".to_owned()])
    );
}

pub(super) async fn a_shared_bucket_is_handed_on_when_its_owner_goes(stage: &dyn Stage) {
    let (mut first, mut second) = (wanted("first"), wanted("second"));
    second.bucket.name = first.bucket.name.clone();
    first.bucket.prefix = "one".parse().unwrap();
    second.bucket.prefix = "two".parse().unwrap();
    settle(stage, &mut first).await;
    let observed = look(stage, &second).await;
    assert_eq!(
        reasons(&second, &observed),
        [BlockedReason::BucketOwnedByAnotherRegistry],
        "nobody said that it is shared"
    );
    first.shares_with = vec![second.owner.clone()];
    second.shares_with = vec![first.owner.clone()];
    let (observed, _) = settle(stage, &mut second).await;
    assert!(
        first.owner.is_named_by(&tags(&observed)),
        "the tags name the first"
    );
    for key in ["one/x", "two/y"] {
        stage.put_object("bucket-of-first", key).await;
    }
    delete(stage, &mut first, DeletionPolicy::Delete).await;
    assert_eq!(
        stage.keys("bucket-of-first").await,
        Some(vec!["two/y".to_owned()])
    );
    second.shares_with.clear();
    let (observed, _) = settle(stage, &mut second).await;
    assert!(
        second.owner.is_named_by(&tags(&observed)),
        "now they name the second"
    );
    delete(stage, &mut second, DeletionPolicy::Delete).await;
    assert_eq!(stage.keys("bucket-of-first").await, None);
}

/// In us-east-1 creating a bucket that is there succeeds. One that somebody else made in that moment must not become ours.
pub(super) async fn a_bucket_in_use_is_not_claimed(stage: &dyn Stage) {
    let want = wanted("racing");
    stage
        .make_bucket("bucket-of-racing", "eu-west-1", &[])
        .await;
    stage.put_object("bucket-of-racing", "precious").await;
    let claim = Step::ClaimBucket {
        bucket: want.bucket.name.clone(),
        tags: want.owner.tags(),
    };
    let error = stage.cloud().carry_out(&want, &claim).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Conflict { .. }), "{error}");
    assert!(tags(&look(stage, &want).await).is_empty());
    let full = Step::DeleteBucket {
        bucket: want.bucket.name.clone(),
        leftovers: Leftovers::Fail,
    };
    let error = stage.cloud().carry_out(&want, &full).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Conflict { .. }), "{error}");
}
