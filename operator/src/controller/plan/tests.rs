//! The plan on tables; on worlds made at random it is in `worlds`. That its steps do in AWS what they do in the fake is shown by the cases of
//! `aws::conformance`.

mod worlds;

use futures::executor::block_on;

use super::*;
use crate::aws::{
    AccessKeyId, Cloud, DesiredBucket, DesiredIdentity, Existing, KeyState, Owner, PolicyDocument,
    PolicyKind, StepOutcome, StoreAccess,
    desired::TAG_CLUSTER,
    fake::{FakeBucket, FakeCloud},
    policy::{POLICY_NAME, policy_document},
    step::Leftovers,
};

fn owner(name: &str) -> Owner {
    // Each part different from the others, so that swapped ones show.
    Owner {
        cluster: "blue".parse().unwrap(),
        namespace: "shipping".to_owned(),
        name: name.to_owned(),
        uid: format!("{name}-uid"),
    }
}

fn wanted() -> Desired {
    let owner = owner("ours");
    Desired {
        registry_created: "2026-01-01T00:00:00Z".parse().unwrap(),
        bucket: DesiredBucket {
            name: "images".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            prefix: "".parse().unwrap(),
            existing: Existing::Refuse,
            tags: BTreeMap::new(),
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

fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(Into::into).collect()
}

fn observe(cloud: &FakeCloud, want: &Desired) -> Observed {
    block_on(cloud.observe(want)).unwrap()
}

/// Carries the steps out; the controller's part of it is to record the key.
fn carry_out(cloud: &FakeCloud, want: &mut Desired, steps: &[Step]) {
    for step in steps {
        loop {
            match block_on(cloud.carry_out(want, step))
                .unwrap_or_else(|error| panic!("to {step}: {error}"))
            {
                StepOutcome::Done => break,
                StepOutcome::MoreToDo { .. } => {}
                StepOutcome::KeyCreated(key) => {
                    if let DesiredIdentity::IamUser { recorded_key, .. } = &mut want.identity {
                        *recorded_key = Some(key.id);
                    }
                    break;
                }
            }
        }
    }
}

#[test]
fn the_bucket_comes_first_and_the_key_last() {
    let cloud = FakeCloud::default();
    let want = wanted();
    let plan = plan(&want, &observe(&cloud, &want));
    assert_eq!(
        names(&plan.steps),
        [
            "CreateBucket",
            "ClaimBucket",
            "CreateUser",
            "PutUserPolicy",
            "CreateAccessKey"
        ]
    );
    assert_eq!(plan.blocked, []);
}

#[test]
fn steps_read_as_sentences() {
    let cloud = FakeCloud::default();
    let mut want = wanted();
    let user = want.owner.user_name();
    let steps = plan(&want, &observe(&cloud, &want)).steps;
    carry_out(&cloud, &mut want, &steps);
    let mut sentences: Vec<_> = steps.iter().map(ToString::to_string).collect();
    sentences.extend(
        plan_deletion(&want, &observe(&cloud, &want), DeletionPolicy::Delete)
            .iter()
            .map(ToString::to_string),
    );
    assert_eq!(
        sentences,
        [
            "create bucket images in eu-west-1".to_owned(),
            "claim bucket images, which was created for this registry".to_owned(),
            format!("create IAM user /moorage/blue/{user}"),
            format!("write policy moorage-registry-storage of IAM user {user}"),
            format!("create an access key of IAM user {user}"),
            format!("delete access key AKIAFAKE00000001 of IAM user {user}"),
            format!("delete policy moorage-registry-storage of IAM user {user}"),
            format!("delete IAM user {user}"),
            "empty bucket images".to_owned(),
            "delete bucket images".to_owned(),
        ]
    );
}

#[test]
fn a_managed_policy_is_created_before_it_is_attached() {
    let cloud = FakeCloud::default();
    let mut want = wanted();
    want.identity = DesiredIdentity::IamUser {
        user: want.owner.user_name(),
        policy: PolicyKind::Managed,
        recorded_key: None,
    };
    let steps = plan(&want, &observe(&cloud, &want)).steps;
    assert_eq!(
        names(&steps),
        [
            "CreateBucket",
            "ClaimBucket",
            "CreateUser",
            "CreatePolicy",
            "AttachPolicy",
            "CreateAccessKey"
        ]
    );
}

#[test]
fn a_managed_policy_without_an_account_to_name_it_by_is_blocked() {
    let mut want = wanted();
    want.identity = DesiredIdentity::IamUser {
        user: want.owner.user_name(),
        policy: PolicyKind::Managed,
        recorded_key: None,
    };
    let have = Observed {
        account: None,
        ..observe(&FakeCloud::default(), &want)
    };
    let plan = plan(&want, &have);
    assert_eq!(names(&plan.steps), ["CreateBucket", "ClaimBucket"]);
    assert_eq!(plan.blocked[0].reason, BlockedReason::AccountUnknown);
}

/// The reasons are read by people and by their alerts.
#[test]
fn a_blocked_bucket_says_what_to_do_and_holds_back_the_identity() {
    type Change = fn(&mut FakeBucket);
    let (mut want, cloud) = (wanted(), FakeCloud::default());
    let table: [(BlockedReason, &str, Change); 4] = [
        (
            BlockedReason::BucketOwnedByAnotherAccount,
            "belongs to another AWS account",
            |bucket| {
                bucket.account = "999999999999".parse().unwrap();
            },
        ),
        (
            BlockedReason::BucketInAnotherRegion,
            "is in region us-east-1, and spec.storage.s3.region says eu-west-1",
            |bucket| {
                bucket.region = "us-east-1".parse().unwrap();
            },
        ),
        (
            BlockedReason::BucketExists,
            "set spec.storage.s3.existing to Adopt",
            |bucket| {
                bucket.created = "2025-12-31T23:59:59Z".parse().unwrap();
            },
        ),
        (
            BlockedReason::BucketOwnedByAnotherRegistry,
            "carries the tags of registry shipping/theirs in cluster blue",
            |bucket| {
                bucket.tags = owner("theirs").tags();
            },
        ),
    ];
    for (reason, message, change) in table {
        change(cloud.world().make_bucket("images", "eu-west-1"));
        let plan = plan(&want, &observe(&cloud, &want));
        assert_eq!(plan.steps, [], "{reason}");
        assert_eq!(
            (plan.blocked[0].subject, plan.blocked[0].reason),
            (Subject::Bucket, reason)
        );
        assert!(
            plan.blocked[0].message.contains(message),
            "{}",
            plan.blocked[0].message
        );
        assert_eq!(
            plan_deletion(&want, &observe(&cloud, &want), DeletionPolicy::Delete),
            []
        );
    }
    // The tags of another registry are not adopted either.
    want.bucket.existing = Existing::Adopt;
    let plan = plan(&want, &observe(&cloud, &want));
    assert_eq!(
        plan.blocked[0].reason,
        BlockedReason::BucketOwnedByAnotherRegistry
    );
}

#[test]
fn a_retained_bucket_stays_as_it_is_when_its_registry_goes() {
    let (mut want, cloud) = (wanted(), FakeCloud::default());
    let steps = plan(&want, &observe(&cloud, &want)).steps;
    carry_out(&cloud, &mut want, &steps);
    let steps = plan_deletion(&want, &observe(&cloud, &want), DeletionPolicy::Retain);
    assert_eq!(
        names(&steps),
        ["DeleteAccessKey", "DeleteUserPolicy", "DeleteUser"]
    );
}

/// That it is empty and new does not make somebody's bucket ours. Ours is tagged from its first moment.
#[test]
fn a_new_and_empty_bucket_of_a_name_that_people_chose_is_refused() {
    let (want, cloud) = (wanted(), FakeCloud::default());
    cloud.world().make_bucket("images", "eu-west-1");
    let observed = observe(&cloud, &want);
    let plan = plan(&want, &observed);
    assert_eq!(plan.steps, []);
    assert_eq!(plan.blocked[0].reason, BlockedReason::BucketExists);
    assert_eq!(plan_deletion(&want, &observed, DeletionPolicy::Delete), []);
}

/// A run was stopped between creating the bucket and tagging it, and then the registry was deleted.
#[test]
fn an_unclaimed_bucket_is_deleted_only_while_it_is_empty() {
    let (mut want, cloud) = (wanted(), FakeCloud::default());
    want.bucket.name = want.owner.bucket_name();
    let name = want.bucket.name.to_string();
    cloud
        .world()
        .make_bucket(&name, "eu-west-1")
        .objects
        .insert("somebody's".to_owned());
    let steps = plan_deletion(&want, &observe(&cloud, &want), DeletionPolicy::Delete);
    assert_eq!(
        steps,
        [Step::DeleteBucket {
            bucket: want.bucket.name.clone(),
            leftovers: Leftovers::Keep
        }]
    );
    carry_out(&cloud, &mut want, &steps);
    assert!(cloud.world().buckets.contains_key(&name));
    cloud
        .world()
        .buckets
        .get_mut(&name)
        .unwrap()
        .objects
        .clear();
    carry_out(&cloud, &mut want, &steps);
    assert!(cloud.world().buckets.is_empty());
}

#[test]
fn the_policy_of_a_prefix_reaches_no_object_beside_it() {
    let mut want = wanted();
    want.bucket.prefix = "/team-a/".parse().unwrap();
    let document = policy_document(&want.bucket.region, &want.bucket.name, &want.bucket.prefix);
    insta::assert_snapshot!(document, @r#"{"Statement":[{"Action":["s3:ListBucket","s3:GetBucketLocation","s3:ListBucketMultipartUploads"],"Effect":"Allow","Resource":"arn:aws:s3:::images","Sid":"Bucket"},{"Action":["s3:PutObject","s3:GetObject","s3:DeleteObject","s3:ListMultipartUploadParts","s3:AbortMultipartUpload"],"Effect":"Allow","Resource":"arn:aws:s3:::images/team-a/*","Sid":"Objects"}],"Version":"2012-10-17"}"#);
}
