//! The IAM user of a registry.
//!
//! Its policies are [`super::policies`], its keys [`super::access_key`]. Nothing here knows roles or groups.

use std::collections::BTreeMap;

use aws_sdk_iam::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::Tag,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{
    clients::Aws,
    desired::{Desired, DesiredIdentity, PolicyKind},
    error::{Call, Error, Kind},
    names::{AccountId, Region, UserName},
    observed::UserState,
    policy::{POLICY_NAME, PolicyDocument},
    s3::not_sent,
    step::StepOutcome,
};

/// What `GetUser` says.
pub(super) struct FoundUser {
    pub(super) account: AccountId,
    arn: String,
    path: String,
    tags: BTreeMap<String, String>,
}

impl FoundUser {
    /// Without what it has.
    fn alone(self) -> UserState {
        UserState {
            arn: self.arn,
            path: self.path,
            tags: self.tags,
            inline: None,
            other_inline: Vec::new(),
            attached: Vec::new(),
            keys: Vec::new(),
        }
    }
}

/// `arn:aws:iam::*:user/moorage/<cluster>/<user>`, for messages: the account is not known before the user is.
fn user_arn(want: &Desired, user: &UserName) -> String {
    format!(
        "arn:{}:iam::*:user{}{user}",
        want.bucket.region.partition(),
        want.owner.iam_path()
    )
}

impl Aws {
    /// IAM has one endpoint per partition; any region of it leads there.
    pub(super) fn iam(&self, want: &Desired) -> Client {
        self.region(&want.bucket.region).iam.clone()
    }

    /// Announces a call about the user.
    pub(super) fn user_call(&self, action: &'static str, want: &Desired, user: &UserName) -> Call {
        self.call(action, user_arn(want, user))
    }

    pub(super) async fn find_user(
        &self,
        want: &Desired,
        user: &UserName,
    ) -> Result<Option<FoundUser>, Error> {
        let call = self.user_call("iam:GetUser", want, user);
        let answer = self
            .iam(want)
            .get_user()
            .user_name(user.as_str())
            .send()
            .await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(None);
        };
        let found = answer.user().ok_or_else(|| empty_answer(&call))?;
        let account = found
            .arn()
            .split(':')
            .nth(4)
            .and_then(|account| account.parse().ok());
        Ok(Some(FoundUser {
            account: account.ok_or_else(|| empty_answer(&call))?,
            arn: found.arn().to_owned(),
            path: found.path().to_owned(),
            tags: found
                .tags()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                .collect(),
        }))
    }

    /// The account of the operator's credentials. Needs no permission.
    pub(super) async fn account(&self, region: &Region) -> Result<AccountId, Error> {
        let call = self.call("sts:GetCallerIdentity", "*");
        let answer = self.region(region).sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| call.failed(error))?;
        answer
            .account()
            .and_then(|account| account.parse().ok())
            .ok_or_else(|| empty_answer(&call))
    }

    /// Four calls, or three when a managed policy is wanted: then the text of an inline one does not matter. None for a user at a
    /// path that is not ours: what it has does not matter, and the operator's own policy does not let it look.
    pub(super) async fn observe_user(
        &self,
        want: &Desired,
        user: &UserName,
        found: FoundUser,
    ) -> Result<Option<UserState>, Error> {
        if found.path != want.owner.iam_path() {
            return Ok(Some(found.alone()));
        }
        let FoundUser {
            account: _,
            arn,
            path,
            tags,
        } = found;
        let iam = self.iam(want);
        let call = self.user_call("iam:ListUserPolicies", want, user);
        let answer = iam
            .list_user_policies()
            .user_name(user.as_str())
            .send()
            .await;
        // A user that has gone since it was found has nothing.
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(None);
        };
        let (ours, other_inline): (Vec<_>, Vec<_>) = answer
            .policy_names()
            .iter()
            .cloned()
            .partition(|name| name == POLICY_NAME);
        let inline = match (ours.is_empty(), reads_managed(want)) {
            (true, _) => None,
            (false, true) => Some(PolicyDocument::unread()),
            (false, false) => self.inline_policy(want, user).await?,
        };
        let call = self.user_call("iam:ListAttachedUserPolicies", want, user);
        let answer = iam
            .list_attached_user_policies()
            .user_name(user.as_str())
            .send()
            .await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(None);
        };
        let attached = answer
            .attached_policies()
            .iter()
            .filter_map(|policy| policy.policy_arn().map(str::to_owned));
        Ok(Some(UserState {
            arn,
            path,
            tags,
            inline,
            other_inline,
            attached: attached.collect(),
            keys: self.access_keys(want, user).await?,
        }))
    }

    pub(super) async fn create_user(
        &self,
        want: &Desired,
        user: &UserName,
        path: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:CreateUser", want, user);
        let tags = Some(sdk_tags(&call, tags)?);
        done(
            &call,
            self.iam(want)
                .create_user()
                .user_name(user.as_str())
                .path(path)
                .set_tags(tags)
                .send()
                .await,
        )
    }

    pub(super) async fn tag_user(
        &self,
        want: &Desired,
        user: &UserName,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:TagUser", want, user);
        let tags = Some(sdk_tags(&call, tags)?);
        done(
            &call,
            self.iam(want)
                .tag_user()
                .user_name(user.as_str())
                .set_tags(tags)
                .send()
                .await,
        )
    }

    pub(super) async fn delete_user(
        &self,
        want: &Desired,
        user: &UserName,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:DeleteUser", want, user);
        let outcome = gone(
            &call,
            self.iam(want)
                .delete_user()
                .user_name(user.as_str())
                .send()
                .await,
        );
        self.unless_it_is_gone(want, user, outcome).await
    }

    /// The outcome of a deletion. IAM knows the path of a user only while there is one, and the operator may delete below its own path
    /// alone: deleting what a user has that is gone is denied, not "not found".
    pub(super) async fn unless_it_is_gone(
        &self,
        want: &Desired,
        user: &UserName,
        outcome: Result<StepOutcome, Error>,
    ) -> Result<StepOutcome, Error> {
        match outcome {
            Err(Error {
                kind: Kind::Denied { .. },
                ..
            }) if matches!(self.find_user(want, user).await, Ok(None)) => Ok(StepOutcome::Done),
            outcome => outcome,
        }
    }
}

/// Whether the text of the managed policy matters, and so the text of the inline one does not.
pub(super) fn reads_managed(want: &Desired) -> bool {
    matches!(
        want.identity,
        DesiredIdentity::IamUser {
            policy: PolicyKind::Managed,
            ..
        }
    )
}

/// `None` for what does not exist.
pub(super) fn if_there<T, E>(
    call: &Call,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer.map_err(|error| call.failed(error)) {
        Ok(answer) => Ok(Some(answer)),
        Err(Error {
            kind: Kind::NotFound,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn done<T, E>(
    call: &Call,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<StepOutcome, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    answer
        .map(|_| StepOutcome::Done)
        .map_err(|error| call.failed(error))
}

/// A deletion: what is not there is deleted.
pub(super) fn gone<T, E>(
    call: &Call,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<StepOutcome, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if_there(call, answer).map(|_| StepOutcome::Done)
}

/// An answer without what it is for. AWS does not do that; a stand-in may.
pub(super) fn empty_answer(call: &Call) -> Error {
    call.refused(Kind::Invalid {
        code: "incomplete answer".to_owned(),
        message: "a part of the answer is missing".to_owned(),
    })
}

pub(super) fn sdk_tags(call: &Call, tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, Error> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(tag)
        .collect::<Result<_, _>>()
        .map_err(|error| not_sent(call, &error))
}
