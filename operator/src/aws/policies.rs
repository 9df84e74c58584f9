//! The policies of the IAM user of a registry: an inline one, or a managed one that is attached to it.
//!
//! What a policy says is [`super::policy`].

use std::collections::BTreeMap;

use super::{
    clients::Aws,
    desired::Desired,
    error::Error,
    iam::{done, gone, if_there, reads_managed, sdk_tags},
    names::UserName,
    observed::ManagedPolicyState,
    policy::{POLICY_NAME, PolicyDocument},
    step::StepOutcome,
};

impl Aws {
    pub(super) async fn inline_policy(
        &self,
        want: &Desired,
        user: &UserName,
    ) -> Result<Option<PolicyDocument>, Error> {
        let call = self.user_call("iam:GetUserPolicy", want, user);
        let answer = self
            .iam(want)
            .get_user_policy()
            .user_name(user.as_str())
            .policy_name(POLICY_NAME)
            .send()
            .await;
        Ok(if_there(&call, answer)?.map(|answer| PolicyDocument::parse(answer.policy_document())))
    }

    /// One call, and a second one when a managed policy is wanted.
    pub(super) async fn observe_managed_policy(
        &self,
        want: &Desired,
        arn: String,
    ) -> Result<Option<ManagedPolicyState>, Error> {
        let iam = self.iam(want);
        let call = self.call("iam:ListPolicyVersions", &arn);
        let answer = iam.list_policy_versions().policy_arn(&arn).send().await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(None);
        };
        let (default, others): (Vec<_>, Vec<_>) = answer
            .versions()
            .iter()
            .partition(|version| version.is_default_version());
        let default = default.first().and_then(|version| version.version_id());
        let document = match default {
            Some(version) if reads_managed(want) => {
                let call = self.call("iam:GetPolicyVersion", &arn);
                let answer = iam
                    .get_policy_version()
                    .policy_arn(&arn)
                    .version_id(version)
                    .send()
                    .await;
                let found = if_there(&call, answer)?;
                found
                    .and_then(|found| found.policy_version?.document)
                    .map(|text| PolicyDocument::parse(&text))
            }
            _ => None,
        };
        let other_versions = others
            .iter()
            .filter_map(|version| version.version_id().map(str::to_owned))
            .collect();
        Ok(Some(ManagedPolicyState {
            arn,
            document,
            other_versions,
        }))
    }

    pub(super) async fn put_user_policy(
        &self,
        want: &Desired,
        user: &UserName,
        document: &PolicyDocument,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:PutUserPolicy", want, user);
        let request = self
            .iam(want)
            .put_user_policy()
            .user_name(user.as_str())
            .policy_name(POLICY_NAME);
        done(
            &call,
            request.policy_document(document.to_string()).send().await,
        )
    }

    pub(super) async fn delete_user_policy(
        &self,
        want: &Desired,
        user: &UserName,
        policy: &str,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:DeleteUserPolicy", want, user);
        let outcome = gone(
            &call,
            self.iam(want)
                .delete_user_policy()
                .user_name(user.as_str())
                .policy_name(policy)
                .send()
                .await,
        );
        self.unless_it_is_gone(want, user, outcome).await
    }

    pub(super) async fn create_policy(
        &self,
        want: &Desired,
        name: &UserName,
        path: &str,
        document: &PolicyDocument,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let arn = format!(
            "arn:{}:iam::*:policy{path}{name}",
            want.bucket.region.partition()
        );
        let call = self.call("iam:CreatePolicy", arn);
        let tags = Some(sdk_tags(&call, tags)?);
        let request = self
            .iam(want)
            .create_policy()
            .policy_name(name.as_str())
            .path(path)
            .set_tags(tags);
        done(
            &call,
            request.policy_document(document.to_string()).send().await,
        )
    }

    pub(super) async fn create_policy_version(
        &self,
        want: &Desired,
        arn: &str,
        document: &PolicyDocument,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("iam:CreatePolicyVersion", arn);
        let request = self
            .iam(want)
            .create_policy_version()
            .policy_arn(arn)
            .set_as_default(true);
        done(
            &call,
            request.policy_document(document.to_string()).send().await,
        )
    }

    pub(super) async fn delete_policy_version(
        &self,
        want: &Desired,
        arn: &str,
        version: &str,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("iam:DeletePolicyVersion", arn);
        gone(
            &call,
            self.iam(want)
                .delete_policy_version()
                .policy_arn(arn)
                .version_id(version)
                .send()
                .await,
        )
    }

    pub(super) async fn attach_policy(
        &self,
        want: &Desired,
        user: &UserName,
        arn: &str,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:AttachUserPolicy", want, user);
        done(
            &call,
            self.iam(want)
                .attach_user_policy()
                .user_name(user.as_str())
                .policy_arn(arn)
                .send()
                .await,
        )
    }

    pub(super) async fn detach_policy(
        &self,
        want: &Desired,
        user: &UserName,
        arn: &str,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:DetachUserPolicy", want, user);
        let outcome = gone(
            &call,
            self.iam(want)
                .detach_user_policy()
                .user_name(user.as_str())
                .policy_arn(arn)
                .send()
                .await,
        );
        self.unless_it_is_gone(want, user, outcome).await
    }

    pub(super) async fn delete_policy(
        &self,
        want: &Desired,
        arn: &str,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("iam:DeletePolicy", arn);
        gone(
            &call,
            self.iam(want).delete_policy().policy_arn(arn).send().await,
        )
    }
}
