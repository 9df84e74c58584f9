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

mod buckets;
mod identity;

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
        ($($case:path),* $(,)?) => {$(
            eprintln!("case {}", stringify!($case));
            $case(stage).await;
        )*};
    }
    cases![
        a_registry_gets_what_it_wants_and_then_nothing_more,
        identity::a_managed_policy_is_made_attached_and_kept_as_it_should_be,
        identity::the_policy_moves_between_inline_and_managed_and_leaves_nothing,
        a_run_that_stops_after_any_step_is_finished_by_the_next_one,
        buckets::a_bucket_of_another_account_is_refused,
        buckets::a_bucket_that_was_there_before_is_refused,
        buckets::an_adopted_bucket_is_never_tagged_and_never_deleted,
        buckets::a_bucket_in_another_region_is_refused,
        buckets::a_retained_bucket_is_found_again,
        buckets::tags_of_the_spec_come_and_go_and_those_of_others_stay,
        identity::a_user_that_is_not_ours_is_left_alone,
        identity::a_user_left_by_an_earlier_registry_of_the_same_name_is_taken_over,
        identity::rights_that_somebody_added_are_taken_away,
        identity::a_key_that_nobody_recorded_is_deleted,
        identity::an_inactive_key_is_replaced,
        buckets::deleting_takes_versions_markers_and_uploads_too,
        buckets::deleting_a_prefix_leaves_the_rest_of_the_bucket,
        buckets::a_shared_bucket_is_handed_on_when_its_owner_goes,
        identity::a_former_user_is_removed_when_keys_are_provided,
        certificates_are_found_or_not,
        deletions_can_be_repeated_and_creations_conflict,
        buckets::a_bucket_in_use_is_not_claimed,
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
    expected.insert("moorage.dev/spec-tags".to_owned(), "ca8b22".to_owned());
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
            // Moto does not tag at creation; a bucket of a chosen name would then be somebody's.
            want.bucket.name = want.owner.bucket_name();
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
