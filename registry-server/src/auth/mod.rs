//! Who may do what: the question every request is asked before anything else happens.
//!
//! [`Authorizer`] is the one door. It sees the `Authorization` header and what the request wants, and answers with an
//! identity or with the reason it refuses. It knows nothing of routes or status codes; turning a [`Denied`] into an answer
//! is `http`'s.

use std::fmt;

use async_trait::async_trait;

pub use self::{anonymous::Anonymous, htpasswd::Htpasswd, silly::Silly};
use crate::registry::RepositoryName;

mod anonymous;
mod challenge;
pub mod htpasswd;
mod silly;

/// What a request wants to do with one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Something with a repository.
    Repository {
        /// Which one.
        name: RepositoryName,
        /// What.
        action: Action,
    },
    /// List the names of all repositories: `registry:catalog:*`.
    Catalog,
}

/// What is done with a repository, in the words of the token scope grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Action {
    /// Read: `GET` and `HEAD`.
    Pull,
    /// Write: `POST`, `PUT` and `PATCH`.
    Push,
    /// Remove: `DELETE`.
    Delete,
}

/// Who is asking, once that is known. `None` is a registry that asks nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name in logs; never a credential.
    pub user: Option<String>,
}

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody, or somebody who could not prove it: 401 with this `WWW-Authenticate`. Missing and wrong credentials look alike.
    Unauthenticated {
        /// Value of `WWW-Authenticate`.
        challenge: String,
    },
    /// Somebody known, who lacks the right: 403, or 401 with the challenge where the protocol has a better token to offer.
    Forbidden {
        /// Value of `WWW-Authenticate`, where another credential would help.
        challenge: Option<String>,
    },
    /// It cannot be decided now, for example because the password file cannot be read: 503. The reason is logged, not sent.
    Undecided {
        /// For the log.
        reason: String,
    },
}

/// Decides whether a request may go on.
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Whether whoever sends `authorization` (the header's value, as received; `None` without one) may do all of `wanted`.
    /// An empty `wanted` asks only for a valid identity, as `GET /v2/` does.
    ///
    /// # Errors
    /// [`Denied`], with what the client needs to try again.
    async fn authorize(
        &self,
        authorization: Option<&str>,
        wanted: &[Access],
    ) -> Result<Identity, Denied>;
}
