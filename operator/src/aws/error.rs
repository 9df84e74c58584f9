//! What can go wrong with AWS, and what each means for the one who has to act.
//!
//! The one place where answers of the SDK become errors of ours. Messages are the same each time (no request ids): they end in
//! conditions, and a condition that changes wakes the controller again. The whole chain is for the log.

mod meaning;

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{
    ErrorMetadata, display::DisplayErrorContext, metadata::ProvideErrorMetadata,
};
use snafu::Snafu;

use self::meaning::Meaning;

/// An operation on AWS that failed.
#[derive(Debug, Snafu)]
#[snafu(display("failed to carry out {action} on {resource}: {kind}"))]
pub struct Error {
    /// The IAM action: `s3:CreateBucket`.
    pub action: &'static str,
    /// The ARN, or as much of it as is known.
    pub resource: String,
    /// What it means.
    pub kind: Kind,
    /// What the SDK said, with all its causes, on one line: for the log. Holds request ids, so not for a condition.
    pub detail: String,
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
pub enum Kind {
    /// The credentials are good and may not do this.
    #[snafu(display("permission denied; this policy statement would allow it: {statement}"))]
    Denied {
        /// The action that was denied, as it is written in a policy.
        action: String,
        /// The statement that would allow it.
        statement: String,
    },
    /// There are no credentials.
    #[snafu(display(
        "the operator has no AWS credentials; give it some by one of: a role for its service account (EKS Pod Identity, or the \
         annotation eks.amazonaws.com/role-arn), the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from a Secret, or an \
         instance profile of the node"
    ))]
    NoCredentials,
    /// There are credentials, and AWS does not know them or finds them expired.
    #[snafu(display(
        "AWS does not accept the credentials ({code}): they are unknown, wrong or expired"
    ))]
    BadCredentials {
        /// The error code of AWS.
        code: String,
    },
    /// AWS asks to go slower.
    #[snafu(display("AWS asks to slow down"))]
    Throttled {
        /// How long to wait at least, when AWS says so.
        after: Option<Duration>,
    },
    /// No answer, or one that says that AWS is at fault. The change may have been made.
    #[snafu(display(
        "AWS, or the store at storage.s3.endpoint, cannot be reached or does not answer"
    ))]
    Unavailable,
    /// The object is not there.
    #[snafu(display("it does not exist"))]
    NotFound,
    /// Somebody else has it.
    #[snafu(display("{owner}"))]
    OwnedElsewhere {
        /// Who, as a sentence.
        owner: String,
    },
    /// A limit of the account is reached.
    #[snafu(display("a limit of the AWS account is reached: {message}"))]
    LimitExceeded {
        /// What AWS says.
        message: String,
    },
    /// Another operation on the object is under way, or something else has to go first.
    #[snafu(display("{message}"))]
    Conflict {
        /// What is in the way.
        message: String,
    },
    /// AWS finds the request wrong.
    #[snafu(display("AWS refuses the request ({code}): {message}"))]
    Invalid {
        /// The error code of AWS.
        code: String,
        /// What AWS says.
        message: String,
    },
}

/// An operation that is about to be called: what an error will say of it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    action: &'static str,
    resource: String,
}

impl Call {
    /// `action` is the IAM action that allows the operation, which is not always its name: `HeadBucket` needs `s3:ListBucket`.
    pub(super) fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self {
            action,
            resource: resource.into(),
        }
    }

    /// The only place where an error of the SDK becomes one of ours.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let kind = self.kind_of(&error);
        self.error(kind, DisplayErrorContext(error).to_string())
    }

    /// An error that no single answer of AWS says.
    pub(super) fn refused(&self, kind: Kind) -> Error {
        self.error(kind, String::new())
    }

    /// The error of credentials that may not call this.
    pub(super) fn denied(&self) -> Error {
        self.refused(self.denied_kind(self.action))
    }

    fn error(&self, kind: Kind, detail: String) -> Error {
        Error {
            action: self.action,
            resource: self.resource.clone(),
            kind,
            detail,
        }
    }

    fn denied_kind(&self, action: &str) -> Kind {
        let statement =
            serde_json::json!({"Effect": "Allow", "Action": action, "Resource": self.resource});
        Kind::Denied {
            action: action.to_owned(),
            statement: statement.to_string(),
        }
    }

    fn kind_of<E>(&self, error: &SdkError<E, HttpResponse>) -> Kind
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(context) => {
                self.kind_of_answer(context.err().meta(), context.raw())
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Kind::Unavailable,
            // The SDK looks for credentials before it sends, and wraps what it does not find in one of the other two.
            other => credentials_problem(other).unwrap_or(Kind::Unavailable),
        }
    }

    fn kind_of_answer(&self, meta: &ErrorMetadata, response: &HttpResponse) -> Kind {
        // Stand-ins of AWS answer in one service's form for another, which the SDK does not read.
        let said = meta.message().or_else(|| element(response, "Message"));
        let message = || shortened(said.unwrap_or("no message"));
        let code = meta
            .code()
            .or_else(|| element(response, "Code"))
            .unwrap_or_default();
        match Meaning::of(code, response.status().as_u16()) {
            Meaning::Denied => {
                // A call may need a second action (tags at creation), and then only the message says which one was denied.
                let named = said.and_then(denied_action);
                self.denied_kind(named.unwrap_or(self.action))
            }
            Meaning::BadCredentials => Kind::BadCredentials {
                code: code.to_owned(),
            },
            Meaning::Throttled => Kind::Throttled {
                after: retry_after(response),
            },
            Meaning::Conflict => Kind::Conflict { message: message() },
            Meaning::OwnedElsewhere => Kind::OwnedElsewhere {
                owner: "it belongs to another AWS account".to_owned(),
            },
            Meaning::LimitExceeded => Kind::LimitExceeded { message: message() },
            Meaning::NotFound => Kind::NotFound,
            Meaning::Unavailable => Kind::Unavailable,
            Meaning::Invalid => Kind::Invalid {
                code: code.to_owned(),
                message: message(),
            },
        }
    }
}

/// What the search for credentials ended with, if the error is about that.
fn credentials_problem(error: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => return Some(Kind::NoCredentials),
            Some(CredentialsError::ProviderTimedOut(_)) => return Some(Kind::Unavailable),
            Some(_) => {
                return Some(Kind::BadCredentials {
                    code: "no credentials from their provider".to_owned(),
                });
            }
            None => next = error.source(),
        }
    }
    None
}

/// The text of the first XML element of this name.
fn element<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

/// The action in "User: … is not authorized to perform: s3:TagResource on resource: …".
fn denied_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?;
    let good = action.contains(':')
        && action
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == ':');
    good.then_some(action)
}

/// AWS says it in seconds, when it says it.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// At most 300 characters: it goes into a condition.
fn shortened(message: &str) -> String {
    message.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> HttpResponse {
        HttpResponse::new(
            status.try_into().unwrap(),
            aws_smithy_types::body::SdkBody::from(body),
        )
    }

    #[test]
    fn a_denial_of_a_second_action_names_that_one() {
        let call = Call::new("s3:CreateBucket", "arn:aws:s3:::images");
        let message = "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: s3:TagResource on \
                       resource: arn:aws:s3:::images because no identity-based policy allows the s3:TagResource action";
        let meta = ErrorMetadata::builder()
            .code("AccessDenied")
            .message(message)
            .build();
        let kind = call.kind_of_answer(&meta, &answer(403, ""));
        assert!(matches!(kind, Kind::Denied { action, .. } if action == "s3:TagResource"));
    }

    #[test]
    fn an_error_in_the_form_of_another_service_is_read_from_the_body() {
        let call = Call::new("iam:GetUser", "*");
        let body = "<ErrorResponse><Errors><Error><Code>InvalidClientTokenId</Code></Error></Errors></ErrorResponse>";
        let kind = call.kind_of_answer(&ErrorMetadata::builder().build(), &answer(403, body));
        assert_eq!(
            kind,
            Kind::BadCredentials {
                code: "InvalidClientTokenId".to_owned()
            }
        );
    }

    #[test]
    fn a_throttled_answer_says_how_long_to_wait() {
        let mut answer = answer(503, "");
        answer.headers_mut().insert("retry-after", "7");
        let meta = ErrorMetadata::builder().code("SlowDown").build();
        let kind = Call::new("s3:CreateBucket", "*").kind_of_answer(&meta, &answer);
        assert_eq!(
            kind,
            Kind::Throttled {
                after: Some(Duration::from_secs(7))
            }
        );
    }
}
