//! The hands of other people on the fake, for the cases of [`conformance`](crate::aws::conformance).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{FakeCloud, FakePolicy, FakeUser};
use crate::aws::{AccessKeyId, CertificateArn, Cloud, PolicyDocument, conformance::Stage};

#[async_trait]
impl Stage for FakeCloud {
    fn cloud(&self) -> &dyn Cloud {
        self
    }

    fn requests(&self) -> Option<u64> {
        None
    }

    async fn make_bucket(&self, bucket: &str, region: &str, tags: &[(&str, &str)]) {
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.world().make_bucket(bucket, region).tags = tags;
    }

    fn bucket_of_another_account(&self) -> String {
        self.world()
            .make_bucket("foreign-bucket", "eu-west-1")
            .account = "999999999999".parse().unwrap();
        "foreign-bucket".to_owned()
    }

    async fn put_object(&self, bucket: &str, key: &str) {
        self.world()
            .buckets
            .get_mut(bucket)
            .unwrap()
            .objects
            .insert(key.to_owned());
    }

    async fn begin_upload(&self, bucket: &str, key: &str) {
        self.world()
            .buckets
            .get_mut(bucket)
            .unwrap()
            .uploads
            .insert(key.to_owned());
    }

    async fn keep_versions(&self, _bucket: &str) {}

    async fn delete_object(&self, bucket: &str, key: &str) {
        self.world()
            .buckets
            .get_mut(bucket)
            .unwrap()
            .objects
            .remove(key);
    }

    async fn keys(&self, bucket: &str) -> Option<Vec<String>> {
        Some(
            self.world()
                .buckets
                .get(bucket)?
                .objects
                .iter()
                .cloned()
                .collect(),
        )
    }

    async fn make_user(&self, user: &str) {
        let made = FakeUser {
            path: "/".to_owned(),
            ..FakeUser::default()
        };
        self.world().users.insert(user.to_owned(), made);
    }

    async fn add_inline_policy(&self, user: &str, policy: &str) {
        let document = PolicyDocument::parse("{}");
        self.world()
            .users
            .get_mut(user)
            .unwrap()
            .inline
            .insert(policy.to_owned(), document);
    }

    async fn attach_a_policy(&self, user: &str) -> String {
        let arn = "arn:aws:iam::123456789012:policy/wide".to_owned();
        let versions = BTreeMap::from([(1, PolicyDocument::parse("{}"))]);
        self.world().policies.insert(
            arn.clone(),
            FakePolicy {
                versions,
                default: 1,
            },
        );
        self.world()
            .users
            .get_mut(user)
            .unwrap()
            .attached
            .insert(arn.clone());
        arn
    }

    async fn deactivate_key(&self, user: &str, id: &AccessKeyId) {
        let mut world = self.world();
        world
            .user(user)
            .unwrap()
            .keys
            .iter_mut()
            .find(|key| key.id == *id)
            .unwrap()
            .active = false;
    }

    async fn acm_certificate(&self, domain: &str) -> CertificateArn {
        let arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0f".to_owned();
        self.world()
            .certificates
            .insert(arn.clone(), (Some(domain.to_owned()), None));
        arn.parse().unwrap()
    }

    async fn server_certificate(&self, name: &str) -> CertificateArn {
        let arn = format!("arn:aws:iam::123456789012:server-certificate/{name}");
        self.world().certificates.insert(arn.clone(), (None, None));
        arn.parse().unwrap()
    }
}
