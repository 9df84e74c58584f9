//! The hands of other people in moto: a person who may do everything.

use async_trait::async_trait;
use aws_sdk_s3::types::{BucketVersioningStatus, Tag, Tagging, VersioningConfiguration};

use super::{Account, FOREIGN_BUCKET, everything, located, s3};
use crate::aws::{AccessKeyId, CertificateArn, Cloud, conformance::Stage};

#[async_trait]
impl Stage for Account {
    fn cloud(&self) -> &dyn Cloud {
        &self.aws
    }

    fn requests(&self) -> Option<u64> {
        Some(self.aws.requests())
    }

    async fn make_bucket(&self, bucket: &str, region: &str, tags: &[(&str, &str)]) {
        let there = self
            .person
            .to_builder()
            .region(aws_config::Region::new(region.to_owned()))
            .build();
        let request = s3(&there)
            .create_bucket()
            .bucket(bucket)
            .create_bucket_configuration(located(region));
        request.send().await.unwrap();
        let tags = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(*key).value(*value).build().unwrap());
        let tagging = Tagging::builder()
            .set_tag_set(Some(tags.collect()))
            .build()
            .unwrap();
        if !tagging.tag_set().is_empty() {
            s3(&there)
                .put_bucket_tagging()
                .bucket(bucket)
                .tagging(tagging)
                .send()
                .await
                .unwrap();
        }
    }

    fn bucket_of_another_account(&self) -> String {
        FOREIGN_BUCKET.to_owned()
    }

    async fn put_object(&self, bucket: &str, key: &str) {
        s3(&self.person)
            .put_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    async fn begin_upload(&self, bucket: &str, key: &str) {
        s3(&self.person)
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    async fn keep_versions(&self, bucket: &str) {
        let on = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        s3(&self.person)
            .put_bucket_versioning()
            .bucket(bucket)
            .versioning_configuration(on)
            .send()
            .await
            .unwrap();
    }

    async fn delete_object(&self, bucket: &str, key: &str) {
        s3(&self.person)
            .delete_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    async fn keys(&self, bucket: &str) -> Option<Vec<String>> {
        let page = s3(&self.person)
            .list_object_versions()
            .bucket(bucket)
            .send()
            .await
            .ok()?;
        let versions = page.versions().iter().map(|found| found.key().unwrap());
        let markers = page
            .delete_markers()
            .iter()
            .map(|found| found.key().unwrap());
        Some(versions.chain(markers).map(str::to_owned).collect())
    }

    async fn make_user(&self, user: &str) {
        self.iam()
            .create_user()
            .user_name(user)
            .send()
            .await
            .unwrap();
    }

    async fn add_inline_policy(&self, user: &str, policy: &str) {
        let all = everything().to_string();
        self.iam()
            .put_user_policy()
            .user_name(user)
            .policy_name(policy)
            .policy_document(all)
            .send()
            .await
            .unwrap();
    }

    async fn attach_a_policy(&self, user: &str) -> String {
        let all = everything().to_string();
        let made = self
            .iam()
            .create_policy()
            .policy_name("wide")
            .policy_document(all)
            .send()
            .await
            .unwrap();
        let arn = made.policy.unwrap().arn.unwrap();
        self.iam()
            .attach_user_policy()
            .user_name(user)
            .policy_arn(&arn)
            .send()
            .await
            .unwrap();
        arn
    }

    async fn deactivate_key(&self, user: &str, id: &AccessKeyId) {
        let request = self
            .iam()
            .update_access_key()
            .user_name(user)
            .access_key_id(id.as_str());
        request
            .status(aws_sdk_iam::types::StatusType::Inactive)
            .send()
            .await
            .unwrap();
    }

    async fn acm_certificate(&self, domain: &str) -> CertificateArn {
        let acm = aws_sdk_acm::Client::new(&self.person);
        let made = acm
            .request_certificate()
            .domain_name(domain)
            .send()
            .await
            .unwrap();
        made.certificate_arn().unwrap().parse().unwrap()
    }

    async fn server_certificate(&self, name: &str) -> CertificateArn {
        let request = self
            .iam()
            .upload_server_certificate()
            .server_certificate_name(name);
        let made = request
            .certificate_body("certificate")
            .private_key("key")
            .send()
            .await
            .unwrap();
        made.server_certificate_metadata()
            .unwrap()
            .arn()
            .parse()
            .unwrap()
    }
}
