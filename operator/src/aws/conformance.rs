//! What every [`Cloud`] does, as one list of cases. The one in memory and the real one (on moto, with IAM enforced and the
//! operator holding exactly the policy of `operator/deploy/aws-policy.json`) pass it both.
//!
//! A case makes the world it needs through its [`Stage`], lets the plan be carried out, and looks at what is there then. Names are
//! different from case to case, so that all of them can share one AWS.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    AccessKeyId, BucketState, CertificateArn, CertificateState, Cloud, ClusterId, Desired,
    DesiredBucket, DesiredIdentity, Error, Existing, Kind, MOST_READS, Observed, Owner, PolicyKind,
    Step, StepOutcome, StoreAccess, policy::POLICY_NAME, step::Leftovers,
};
use crate::controller::plan::{BlockedReason, DeletionPolicy, plan, plan_deletion};

/// The hands of other people: what happens in the account without the operator.
#[async_trait]
pub(super) trait Stage: Sync {
    fn cloud(&self) -> &dyn Cloud;
    /// Calls made so far, where they can be counted.
    fn requests(&self) -> Option<u64>;
    async fn make_bucket(&self, bucket: &str, region: &str, tags: &[(&str, &str)]);
    /// The name of a bucket that another account has.
    fn bucket_of_another_account(&self) -> String;
    async fn put_object(&self, bucket: &str, key: &str);
    async fn begin_upload(&self, bucket: &str, key: &str);
    /// From now on old versions stay. Where there are none, nothing.
    async fn keep_versions(&self, bucket: &str);
    /// Leaves a delete marker where versions are kept.
    async fn delete_object(&self, bucket: &str, key: &str);
    /// The keys of objects, versions and markers; `None` when there is no bucket.
    async fn keys(&self, bucket: &str) -> Option<Vec<String>>;
    async fn make_user(&self, user: &str);
    async fn add_inline_policy(&self, user: &str, policy: &str);
    /// Makes a policy, attaches it, and returns its ARN.
    async fn attach_a_policy(&self, user: &str) -> String;
    async fn deactivate_key(&self, user: &str, id: &AccessKeyId);
    async fn acm_certificate(&self, domain: &str) -> CertificateArn;
    async fn server_certificate(&self, name: &str) -> CertificateArn;
}

/// Runs every case, and says which one failed.
pub(super) async fn run(stage: &dyn Stage) {
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            eprintln!("case {}", stringify!($case));
            $case(stage).await;
        )*};
    }
    cases![
        a_registry_gets_what_it_wants_and_then_nothing_more,
        a_managed_policy_is_made_attached_and_kept_as_it_should_be,
        the_policy_moves_between_inline_and_managed_and_leaves_nothing,
        a_run_that_stops_after_any_step_is_finished_by_the_next_one,
        a_bucket_of_another_account_is_refused,
        a_bucket_that_was_there_before_is_refused,
        an_adopted_bucket_is_never_tagged_and_never_deleted,
        a_bucket_in_another_region_is_refused,
        a_retained_bucket_is_found_again,
        tags_of_others_are_left_alone,
        a_user_that_is_not_ours_is_left_alone,
        a_user_left_by_an_earlier_registry_of_the_same_name_is_taken_over,
        rights_that_somebody_added_are_taken_away,
        a_key_that_nobody_recorded_is_deleted,
        an_inactive_key_is_replaced,
        deleting_takes_versions_markers_and_uploads_too,
        deleting_a_prefix_leaves_the_rest_of_the_bucket,
        a_shared_bucket_is_handed_on_when_its_owner_goes,
        a_former_user_is_removed_when_keys_are_provided,
        certificates_are_found_or_not,
        deletions_can_be_repeated_and_creations_conflict,
        a_bucket_in_use_is_not_claimed,
    ];
}

/// A registry called `name`, whose bucket is in `eu-west-1` and called after it.
pub(super) fn wanted(name: &str) -> Desired {
    let owner = Owner {
        cluster: "blue".parse::<ClusterId>().unwrap(),
        namespace: "registries".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
    };
    Desired {
        registry_created: "2000-01-01T00:00:00Z".parse().unwrap(),
        bucket: DesiredBucket {
            name: format!("bucket-of-{name}").parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            prefix: "".parse().unwrap(),
            existing: Existing::Refuse,
            tags: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            store: StoreAccess::Aws,
        },
        shares_with: Vec::new(),
        identity: DesiredIdentity::IamUser {
            user: owner.user_name(),
            policy: PolicyKind::Inline,
            recorded_key: None,
        },
        certificate: None,
        owner,
    }
}

/// The same registry, declared after every bucket that is there.
fn declared_late(name: &str) -> Desired {
    Desired {
        registry_created: "2100-01-01T00:00:00Z".parse().unwrap(),
        ..wanted(name)
    }
}

fn with_policy(want: &mut Desired, kind: PolicyKind) {
    if let DesiredIdentity::IamUser { policy, .. } = &mut want.identity {
        *policy = kind;
    }
}

fn record(want: &mut Desired, key: Option<AccessKeyId>) {
    if let DesiredIdentity::IamUser { recorded_key, .. } = &mut want.identity {
        *recorded_key = key;
    }
}

fn recorded(want: &Desired) -> Option<AccessKeyId> {
    match &want.identity {
        DesiredIdentity::IamUser { recorded_key, .. } => recorded_key.clone(),
        DesiredIdentity::Provided { .. } => None,
    }
}

/// Observes, and checks what that costs.
async fn look(stage: &dyn Stage, want: &Desired) -> Observed {
    let before = stage.requests();
    let observed = stage
        .cloud()
        .observe(want)
        .await
        .expect("AWS can be looked at");
    if let (Some(before), Some(after)) = (before, stage.requests()) {
        let reads = after - before;
        assert!(
            reads <= MOST_READS as u64,
            "{reads} reads for {:?}",
            want.owner.name
        );
    }
    observed
}

async fn carry_out(stage: &dyn Stage, want: &mut Desired, steps: &[Step]) {
    for step in steps {
        loop {
            match stage.cloud().carry_out(want, step).await {
                Ok(StepOutcome::Done) => break,
                Ok(StepOutcome::KeyCreated(key)) => break record(want, Some(key.id)),
                Ok(StepOutcome::MoreToDo { .. }) => {}
                Err(error) => panic!("to {step}: {error}: {}", error.detail),
            }
        }
    }
}

/// Carries the plan out, checks that nothing is left to do, and returns what is there then and what was done.
async fn settle(stage: &dyn Stage, want: &mut Desired) -> (Observed, Vec<String>) {
    let steps = plan(want, &look(stage, want).await).steps;
    carry_out(stage, want, &steps).await;
    let observed = look(stage, want).await;
    let left = plan(want, &observed);
    assert!(
        left.steps.is_empty(),
        "after {steps:?}, there is still {:?}",
        left.steps
    );
    (observed, steps.iter().map(ToString::to_string).collect())
}

async fn delete(stage: &dyn Stage, want: &mut Desired, policy: DeletionPolicy) {
    let steps = plan_deletion(want, &look(stage, want).await, policy);
    carry_out(stage, want, &steps).await;
}

fn reasons(want: &Desired, observed: &Observed) -> Vec<BlockedReason> {
    plan(want, observed)
        .blocked
        .into_iter()
        .map(|blocked| blocked.reason)
        .collect()
}

fn tags(observed: &Observed) -> BTreeMap<String, String> {
    match &observed.bucket {
        BucketState::Present { tags, .. } => tags.clone(),
        other => panic!("no bucket: {other:?}"),
    }
}

async fn a_registry_gets_what_it_wants_and_then_nothing_more(stage: &dyn Stage) {
    let mut want = wanted("whole");
    let (observed, _) = settle(stage, &mut want).await;
    let mut expected = want.owner.tags();
    expected.insert("team".to_owned(), "a".to_owned());
    assert_eq!(tags(&observed), expected);
    let user = observed.user.expect("the user is there");
    assert_eq!(user.path, "/moorage/blue/");
    assert_eq!(user.tags, want.owner.tags());
    assert_eq!(user.keys.len(), 1);
    assert!(
        user.arn
            .ends_with(&format!(":user/moorage/blue/{}", want.owner.user_name())),
        "{}",
        user.arn
    );
    assert!(user.inline.is_some() && user.attached.is_empty() && observed.managed_policy.is_none());
    delete(stage, &mut want, DeletionPolicy::Delete).await;
    let observed = look(stage, &want).await;
    assert_eq!(
        (observed.bucket, observed.user),
        (BucketState::Absent, None)
    );
}

async fn a_managed_policy_is_made_attached_and_kept_as_it_should_be(stage: &dyn Stage) {
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

async fn the_policy_moves_between_inline_and_managed_and_leaves_nothing(stage: &dyn Stage) {
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

/// The process can end anywhere. What it made up to then is not lost and not made twice, and the key that it created without
/// writing it down does not stay.
async fn a_run_that_stops_after_any_step_is_finished_by_the_next_one(stage: &dyn Stage) {
    for kind in [PolicyKind::Inline, PolicyKind::Managed] {
        for stop in 0.. {
            let mut want = wanted(&format!(
                "stopped-{}-{stop}",
                if kind == PolicyKind::Inline {
                    "inline"
                } else {
                    "managed"
                }
            ));
            with_policy(&mut want, kind);
            let steps = plan(&want, &look(stage, &want).await).steps;
            carry_out(stage, &mut want.clone(), &steps[..stop]).await;
            let (observed, _) = settle(stage, &mut want).await;
            let user = observed.user.clone().unwrap();
            assert_eq!(
                user.keys.iter().map(|key| &key.id).collect::<Vec<_>>(),
                [&recorded(&want).unwrap()],
                "after {stop}"
            );
            assert!(want.owner.is_named_by(&tags(&observed)));
            if stop == steps.len() {
                break;
            }
            // The same on the way out.
            let steps = plan_deletion(&want, &observed, DeletionPolicy::Delete);
            carry_out(stage, &mut want.clone(), &steps[..stop.min(steps.len())]).await;
            delete(stage, &mut want, DeletionPolicy::Delete).await;
            let observed = look(stage, &want).await;
            assert_eq!(
                (observed.bucket, observed.user, observed.managed_policy),
                (BucketState::Absent, None, None)
            );
        }
    }
}

async fn a_bucket_of_another_account_is_refused(stage: &dyn Stage) {
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

async fn a_bucket_that_was_there_before_is_refused(stage: &dyn Stage) {
    let want = declared_late("latecomer");
    stage
        .make_bucket("bucket-of-latecomer", "eu-west-1", &[("owner", "somebody")])
        .await;
    let observed = look(stage, &want).await;
    assert_eq!(reasons(&want, &observed), [BlockedReason::BucketExists]);
    assert_eq!(plan(&want, &observed).steps, []);
    assert_eq!(plan_deletion(&want, &observed, DeletionPolicy::Delete), []);
}

async fn an_adopted_bucket_is_never_tagged_and_never_deleted(stage: &dyn Stage) {
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

async fn a_bucket_in_another_region_is_refused(stage: &dyn Stage) {
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

async fn a_retained_bucket_is_found_again(stage: &dyn Stage) {
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

async fn tags_of_others_are_left_alone(stage: &dyn Stage) {
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
}

async fn a_user_that_is_not_ours_is_left_alone(stage: &dyn Stage) {
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
async fn a_user_left_by_an_earlier_registry_of_the_same_name_is_taken_over(stage: &dyn Stage) {
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

async fn rights_that_somebody_added_are_taken_away(stage: &dyn Stage) {
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

async fn a_key_that_nobody_recorded_is_deleted(stage: &dyn Stage) {
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

async fn an_inactive_key_is_replaced(stage: &dyn Stage) {
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

async fn deleting_takes_versions_markers_and_uploads_too(stage: &dyn Stage) {
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

async fn deleting_a_prefix_leaves_the_rest_of_the_bucket(stage: &dyn Stage) {
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

async fn a_shared_bucket_is_handed_on_when_its_owner_goes(stage: &dyn Stage) {
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

async fn a_former_user_is_removed_when_keys_are_provided(stage: &dyn Stage) {
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

async fn certificates_are_found_or_not(stage: &dyn Stage) {
    let mut want = wanted("certified");
    let acm = stage.acm_certificate("registry.example.com").await;
    let gone: CertificateArn = format!("{}0", acm.as_str()).parse().unwrap();
    let server = stage.server_certificate("registry-certificate").await;
    let elsewhere: CertificateArn = server
        .as_str()
        .replace("server-certificate/", "server-certificate/other/")
        .parse()
        .unwrap();
    want.certificate = Some(acm);
    let CertificateState::Found { domain, .. } = look(stage, &want).await.certificate else {
        panic!("not found")
    };
    assert_eq!(domain.as_deref(), Some("registry.example.com"));
    want.certificate = Some(server);
    assert!(matches!(
        look(stage, &want).await.certificate,
        CertificateState::Found { .. }
    ));
    for missing in [gone, elsewhere] {
        want.certificate = Some(missing);
        let observed = look(stage, &want).await;
        assert_eq!(observed.certificate, CertificateState::NotFound);
        assert_eq!(
            reasons(&want, &observed),
            [BlockedReason::CertificateNotFound]
        );
    }
}

async fn deletions_can_be_repeated_and_creations_conflict(stage: &dyn Stage) {
    let mut want = wanted("repeated");
    let user = want.owner.user_name();
    let bucket = want.bucket.name.clone();
    let creations = [
        Step::CreateBucket {
            bucket: bucket.clone(),
            region: want.bucket.region.clone(),
            tags: want.owner.tags(),
        },
        Step::CreateUser {
            user: user.clone(),
            path: want.owner.iam_path(),
            tags: want.owner.tags(),
        },
    ];
    carry_out(stage, &mut want, &creations).await;
    for step in &creations {
        let error = stage.cloud().carry_out(&want, step).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Conflict { .. }), "{error}");
    }
    let deletions = [
        Step::DeleteAccessKey {
            user: user.clone(),
            id: "AKIA0000000000000000".parse().unwrap(),
        },
        Step::DeleteUserPolicy {
            user: user.clone(),
            policy: "none".to_owned(),
        },
        Step::DeleteUser { user },
        Step::EmptyBucket {
            bucket: bucket.clone(),
            prefix: "".parse().unwrap(),
        },
        Step::DeleteBucket {
            bucket,
            leftovers: Leftovers::Fail,
        },
    ];
    carry_out(stage, &mut want, &deletions).await;
    carry_out(stage, &mut want, &deletions).await;
}

/// In us-east-1 creating a bucket that is there succeeds. One that somebody else made in that moment must not become ours.
async fn a_bucket_in_use_is_not_claimed(stage: &dyn Stage) {
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
