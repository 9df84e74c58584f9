//! What a reconcile found out, part by part. `status` turns it into conditions.

use std::collections::BTreeMap;

use moorage_crds::{
    AuthStatus, CertificateStatus, IdentityStatus, LoadBalancerStatus, StorageStatus,
    condition::{self, reason},
};

use crate::error::Class;

/// A part of a registry. Each has a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The bucket.
    Bucket,
    /// The identity of the pods.
    Identity,
    /// The logins.
    Auth,
    /// The certificate.
    Certificate,
    /// The pods.
    Server,
    /// The way in.
    Endpoint,
}

impl Part {
    /// All parts, in the order in which they are made ready.
    pub const ALL: [Self; 6] = [
        Self::Bucket,
        Self::Identity,
        Self::Auth,
        Self::Certificate,
        Self::Server,
        Self::Endpoint,
    ];

    /// The type of its condition.
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Bucket => condition::BUCKET_READY,
            Self::Identity => condition::IDENTITY_READY,
            Self::Auth => condition::AUTH_READY,
            Self::Certificate => condition::CERTIFICATE_READY,
            Self::Server => condition::SERVER_AVAILABLE,
            Self::Endpoint => condition::ENDPOINT_READY,
        }
    }
}

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What became of it.
    pub state: State,
    /// Reason of the condition, from [`moorage_crds::condition::reason`].
    pub reason: &'static str,
    /// What a person can make of it.
    pub message: String,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ready,
    /// As it should be, and something is still under way.
    ReadyAndChanging,
    /// Not there, by the wish of the spec; nothing is under way.
    Off,
    /// Not yet; it comes by itself.
    Waiting,
    /// Not possible, for now or until a person acts.
    Failed(Class),
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ready(message: impl Into<String>) -> Self {
        Self {
            state: State::Ready,
            reason: reason::SUCCEEDED,
            message: message.into(),
        }
    }

    /// Comes by itself.
    #[must_use]
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            state: State::Waiting,
            reason,
            message: message.into(),
        }
    }

    /// Not possible.
    #[must_use]
    pub fn failed(class: Class, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            state: State::Failed(class),
            reason,
            message: message.into(),
        }
    }
}

/// What the status shows beside the conditions. `None` leaves what it showed before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Where clients go, with scheme.
    pub endpoint: Option<String>,
    /// The same without scheme.
    pub hostname: Option<String>,
    /// Pods that there are, and that serve.
    pub replicas: Option<(i32, i32)>,
    /// The pods' selector.
    pub selector: Option<String>,
    /// Image of the pods.
    pub image: Option<String>,
    /// The store.
    pub storage: Option<StorageStatus>,
    /// The identity.
    pub identity: Option<IdentityStatus>,
    /// The certificate; `Some(None)` when there is none.
    pub certificate: Option<Option<CertificateStatus>>,
    /// The load balancer; `Some(None)` when there is none.
    pub load_balancer: Option<Option<LoadBalancerStatus>>,
    /// The logins.
    pub auth: Option<AuthStatus>,
}

/// What a reconcile found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How each part is. One that is missing was not looked at.
    pub findings: BTreeMap<Part, Finding>,
    /// What else there is to say.
    pub facts: Facts,
}

impl Report {
    /// Records how a part is.
    pub fn find(&mut self, part: Part, finding: Finding) {
        self.findings.insert(part, finding);
    }

    /// The first failed part, in the order of [`Part::ALL`], one for a person before one that passes by itself.
    #[must_use]
    pub fn failure(&self) -> Option<(Part, Class, &Finding)> {
        let failures = self
            .findings
            .iter()
            .filter_map(|(part, finding)| match finding.state {
                State::Failed(class) => Some((*part, class, finding)),
                State::Ready | State::ReadyAndChanging | State::Off | State::Waiting => None,
            });
        failures.min_by_key(|(part, class, _)| (!class.needs_a_person(), *part))
    }

    /// Whether every part was looked at and is as it should be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        Part::ALL.iter().all(|part| {
            self.findings.get(part).is_some_and(|finding| {
                matches!(finding.state, State::Ready | State::ReadyAndChanging)
            })
        })
    }

    /// The first part that is on its way, or was not looked at.
    #[must_use]
    pub fn under_way(&self) -> Option<(Part, Option<&Finding>)> {
        Part::ALL
            .iter()
            .find_map(|part| match self.findings.get(part) {
                None => Some((*part, None)),
                Some(finding) => matches!(finding.state, State::Waiting | State::ReadyAndChanging)
                    .then_some((*part, Some(finding))),
            })
    }

    /// The first part that is off by the wish of the spec.
    #[must_use]
    pub fn off(&self) -> Option<&Finding> {
        self.findings
            .values()
            .find(|finding| finding.state == State::Off)
    }
}
