//! Which rights a request needs, whether it has them, and which methods a resource has.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::{
    App, Call,
    endpoint::Endpoint,
    error::{ApiError, Code},
};
use crate::auth::{Access, Action, Denied};

impl App {
    /// Lets only those pass who may do what the request asks for.
    pub(super) async fn authorize(&self, endpoint: &Endpoint, call: &Call) -> Result<(), ApiError> {
        self.identify(call, &needed(endpoint, &call.method)).await
    }

    /// Lets only those pass who may do all of `wanted`.
    pub(super) async fn identify(&self, call: &Call, wanted: &[Access]) -> Result<(), ApiError> {
        // A header that is no text cannot be a credential, but it must not count as none either.
        let authorization = call
            .headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap_or_default());
        match self.authorizer.authorize(authorization, wanted).await {
            Ok(identity) => {
                if let Some(user) = identity.user {
                    call.trace.set_user(user);
                }
                Ok(())
            }
            Err(denied) => Err(refusal(denied, wanted)),
        }
    }

    /// Refuses methods that the resource does not have, or that are switched off. The one gate of everything that removes content.
    pub(super) fn check_method(
        &self,
        endpoint: &Endpoint,
        method: &Method,
    ) -> Result<(), ApiError> {
        let methods: Vec<&Method> = methods(endpoint)
            .iter()
            .filter(|method| !self.options.read_only || is_read(method))
            .filter(|method| {
                **method != Method::DELETE || self.options.delete_enabled || is_upload(endpoint)
            })
            .collect();
        if methods.contains(&method) {
            return Ok(());
        }
        let allow = methods
            .iter()
            .map(|method| method.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        Err(ApiError::new(Code::Unsupported).header(header::ALLOW, &allow))
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Dropping an upload removes nothing that anybody has ever been able to read.
fn is_upload(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Upload(..))
}

fn methods(endpoint: &Endpoint) -> &'static [Method] {
    match endpoint {
        Endpoint::Ping | Endpoint::Catalog | Endpoint::Tags(_) | Endpoint::Referrers(..) => {
            &[Method::GET, Method::HEAD]
        }
        Endpoint::Manifest(..) => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
        Endpoint::Blob(..) => &[Method::GET, Method::HEAD, Method::DELETE],
        Endpoint::Uploads(_) => &[Method::POST],
        Endpoint::Upload(..) => &[
            Method::GET,
            Method::HEAD,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ],
    }
}

/// As distribution asks for them, so that tokens made for it fit: who writes also reads.
fn needed(endpoint: &Endpoint, method: &Method) -> Vec<Access> {
    let name = match endpoint {
        Endpoint::Ping => return Vec::new(),
        Endpoint::Catalog => return vec![Access::Catalog],
        Endpoint::Tags(name)
        | Endpoint::Manifest(name, _)
        | Endpoint::Blob(name, _)
        | Endpoint::Uploads(name)
        | Endpoint::Upload(name, _)
        | Endpoint::Referrers(name, _) => name,
    };
    let actions: &[Action] = match *method {
        Method::GET | Method::HEAD => &[Action::Pull],
        Method::DELETE => &[Action::Delete],
        _ => &[Action::Pull, Action::Push],
    };
    actions
        .iter()
        .map(|action| Access::Repository {
            name: name.clone(),
            action: *action,
        })
        .collect()
}

fn refusal(denied: Denied, wanted: &[Access]) -> ApiError {
    let detail = if wanted.is_empty() {
        Value::Null
    } else {
        wanted.iter().map(describe).collect()
    };
    match denied {
        Denied::Unauthenticated { challenge }
        | Denied::Forbidden {
            challenge: Some(challenge),
        } => ApiError::new(Code::Unauthorized)
            .detail(detail)
            .header(header::WWW_AUTHENTICATE, &challenge),
        Denied::Forbidden { challenge: None } => ApiError::new(Code::Denied).detail(detail),
        Denied::Undecided { reason } => {
            tracing::error!(reason, "access cannot be decided");
            ApiError::new(Code::Unavailable).header(header::RETRY_AFTER, "5")
        }
    }
}

/// In the words of distribution.
fn describe(access: &Access) -> Value {
    match access {
        Access::Repository { name, action } => {
            json!({ "Type": "repository", "Class": "", "Name": name.as_str(), "Action": action.to_string() })
        }
        Access::Catalog => {
            json!({ "Type": "registry", "Class": "", "Name": "catalog", "Action": "*" })
        }
    }
}
