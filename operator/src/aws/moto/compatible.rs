//! moto as somebody's S3-compatible store: the registry's own keys, and nothing of the operator's.

use aws_credential_types::provider::ProvideCredentials;
use serde_json::json;

use super::Account;
use crate::{
    aws::{
        Aws, BucketState, Cloud, Desired, DesiredIdentity, StaticCredentials, StepOutcome,
        StoreAccess,
        conformance::{self, Stage},
    },
    controller::plan::{DeletionPolicy, plan, plan_deletion},
};

async fn carry_out(aws: &Aws, want: &Desired, steps: &[crate::aws::Step]) {
    for step in steps {
        while let StepOutcome::MoreToDo { .. } = aws.carry_out(want, step).await.unwrap() {}
    }
}

/// The operator may do nothing here, so whatever works is done with the keys of the registry.
#[tokio::test]
async fn a_compatible_store_is_used_with_the_keys_of_the_registry_and_without_iam() {
    let nothing = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    let test = "a store that is compatible with S3";
    let Some(account) = Account::open(test, &nothing).await else {
        return;
    };
    let keys = account
        .person
        .credentials_provider()
        .unwrap()
        .provide_credentials()
        .await
        .unwrap();
    let mut want = conformance::wanted("compatible");
    want.identity = DesiredIdentity::Provided { former_user: None };
    want.bucket.store = StoreAccess::Compatible {
        endpoint: account.person.endpoint_url().unwrap().to_owned(),
        force_path_style: true,
        credentials: StaticCredentials {
            access_key_id: keys.access_key_id().to_owned(),
            secret_access_key: keys.secret_access_key().into(),
            session_token: None,
        },
    };
    assert!(!format!("{want:?}").contains(keys.secret_access_key()));
    let observed = account.aws.observe(&want).await.unwrap();
    assert_eq!(
        (&observed.bucket, &observed.account),
        (&BucketState::Absent, &None)
    );
    carry_out(&account.aws, &want, &plan(&want, &observed).steps).await;
    let observed = account.aws.observe(&want).await.unwrap();
    assert_eq!(
        plan(&want, &observed),
        crate::controller::plan::Plan::default()
    );
    account
        .put_object("bucket-of-compatible", "docker/data")
        .await;
    carry_out(
        &account.aws,
        &want,
        &plan_deletion(&want, &observed, DeletionPolicy::Delete),
    )
    .await;
    assert_eq!(account.keys("bucket-of-compatible").await, None);
    let actions = account.aws.actions.lock().unwrap().clone();
    assert!(
        actions.iter().all(|action| action.starts_with("s3:")),
        "{actions:?}"
    );
}

#[test]
fn the_fingerprint_changes_with_a_secret_and_does_not_show_it() {
    let with_secret = |secret: &str| {
        let mut want = conformance::wanted("fingerprint");
        want.bucket.store = StoreAccess::Compatible {
            endpoint: "https://store.example.com".to_owned(),
            force_path_style: false,
            credentials: StaticCredentials {
                access_key_id: "id".to_owned(),
                secret_access_key: secret.into(),
                session_token: None,
            },
        };
        want.fingerprint()
    };
    assert_eq!(with_secret("one"), with_secret("one"));
    assert_ne!(with_secret("one"), with_secret("two"));
}
