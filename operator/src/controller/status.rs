//! Step 7: from what was found out to the status, and into the cluster when it differs.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use moorage_crds::{
    ContainerRegistry, ContainerRegistryStatus,
    condition::{self, reason},
    names::FIELD_MANAGER,
};
use serde_json::json;
use snafu::{ResultExt, Snafu};

use super::report::{Facts, Finding, Part, Report, State};

/// The status could not be written.
#[derive(Debug, Snafu)]
#[snafu(
    display("failed to write the status of ContainerRegistry {namespace}/{name}"),
    context(name(WriteStatusSnafu))
)]
pub struct Error {
    namespace: String,
    name: String,
    #[snafu(source(from(kube::Error, Box::new)))]
    source: Box<kube::Error>,
}

/// A condition before it has a time.
struct Verdict {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Verdict {
    fn new(
        kind: &'static str,
        status: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The status after a reconcile. Pure; what was not looked at stays as it was.
#[must_use]
pub fn after(
    registry: &ContainerRegistry,
    report: &Report,
    now: Timestamp,
) -> ContainerRegistryStatus {
    let mut status = registry.status.clone().unwrap_or_default();
    let mut verdicts = summary(report);
    for part in Part::ALL {
        match report.findings.get(&part) {
            Some(Finding {
                state,
                reason,
                message,
            }) => {
                let value = match state {
                    State::Ready | State::ReadyAndChanging => "True",
                    State::Off | State::Waiting | State::Failed(_) => "False",
                };
                verdicts.push(Verdict::new(
                    part.condition(),
                    value,
                    reason,
                    message.clone(),
                ));
            }
            None => verdicts.extend(unless_known(&status, part.condition())),
        }
    }
    put(&mut status, registry, verdicts, now);
    record(&mut status, report.facts.clone());
    status
}

/// The status before the first call to AWS for a generation: someone is at work. Pure.
#[must_use]
pub fn begun(registry: &ContainerRegistry, now: Timestamp) -> ContainerRegistryStatus {
    let mut status = registry.status.clone().unwrap_or_default();
    let mut verdicts: Vec<Verdict> = Vec::new();
    verdicts.extend(unless_known(&status, condition::READY));
    verdicts.push(Verdict::new(
        condition::RECONCILING,
        "True",
        reason::PROGRESSING,
        "the operator has begun to work on this spec",
    ));
    verdicts.push(Verdict::new(
        condition::STALLED,
        "False",
        reason::PROGRESSING,
        "",
    ));
    verdicts.extend(
        Part::ALL
            .into_iter()
            .filter_map(|part| unless_known(&status, part.condition())),
    );
    put(&mut status, registry, verdicts, now);
    status
}

/// The status of a registry that is to be left alone. Pure.
#[must_use]
pub fn suspended(registry: &ContainerRegistry, now: Timestamp) -> ContainerRegistryStatus {
    let mut status = registry.status.clone().unwrap_or_default();
    let message = "spec.suspend is true: everything is left as it is";
    let mut verdicts = vec![Verdict::new(
        condition::RECONCILING,
        "False",
        reason::SUSPENDED,
        message,
    )];
    verdicts.push(Verdict::new(
        condition::STALLED,
        "False",
        reason::SUSPENDED,
        message,
    ));
    verdicts.extend(unless_known(&status, condition::READY));
    put(&mut status, registry, verdicts, now);
    status
}

/// The status of a registry that is being deleted: how far it is, or what it waits for. Pure.
#[must_use]
pub fn deleting(
    registry: &ContainerRegistry,
    finding: &Finding,
    now: Timestamp,
) -> ContainerRegistryStatus {
    let mut status = registry.status.clone().unwrap_or_default();
    let stalled = matches!(finding.state, State::Failed(class) if class.needs_a_person());
    let (reconciling, is_stalled) = if stalled {
        ("False", "True")
    } else {
        ("True", "False")
    };
    let verdicts = vec![
        Verdict::new(
            condition::READY,
            "False",
            reason::DELETING,
            "the registry is being deleted",
        ),
        Verdict::new(
            condition::RECONCILING,
            reconciling,
            finding.reason,
            finding.message.clone(),
        ),
        Verdict::new(
            condition::STALLED,
            is_stalled,
            finding.reason,
            if stalled {
                finding.message.clone()
            } else {
                String::new()
            },
        ),
    ];
    put(&mut status, registry, verdicts, now);
    status
}

/// Ready, Reconciling and Stalled, from the parts (kstatus: the last two are absent or False when all is well).
fn summary(report: &Report) -> Vec<Verdict> {
    let named = |part: Part, message: &str| format!("{}: {message}", part.condition());
    let not_looked = "was not looked at";
    let (ready, why, message) = match (report.failure(), report.under_way(), report.off()) {
        (Some((part, _, finding)), _, _) => {
            ("False", finding.reason, named(part, &finding.message))
        }
        _ if report.is_ready() => (
            "True",
            reason::SUCCEEDED,
            "the registry is as the spec says".to_owned(),
        ),
        (None, Some((part, Some(finding))), _) => {
            ("False", finding.reason, named(part, &finding.message))
        }
        (None, Some((part, None)), _) => ("False", reason::NOT_STARTED, named(part, not_looked)),
        (None, None, Some(finding)) => ("False", finding.reason, finding.message.clone()),
        (None, None, None) => ("False", reason::NOT_STARTED, not_looked.to_owned()),
    };
    let stalled = report
        .failure()
        .filter(|(_, class, _)| class.needs_a_person());
    let reconciling = match (&stalled, report.failure(), report.under_way()) {
        (Some(_), _, _) => Verdict::new(
            condition::RECONCILING,
            "False",
            reason::WAITING,
            "waits for a person; see Stalled",
        ),
        (None, Some((part, _, finding)), _) => Verdict::new(
            condition::RECONCILING,
            "True",
            finding.reason,
            format!("tries again: {}", named(part, &finding.message)),
        ),
        (None, None, Some((part, finding))) => {
            let message = finding.map_or(not_looked, |finding| finding.message.as_str());
            Verdict::new(
                condition::RECONCILING,
                "True",
                reason::PROGRESSING,
                named(part, message),
            )
        }
        (None, None, None) => Verdict::new(condition::RECONCILING, "False", reason::SUCCEEDED, ""),
    };
    let stalled = match stalled {
        Some((part, _, finding)) => Verdict::new(
            condition::STALLED,
            "True",
            finding.reason,
            named(part, &finding.message),
        ),
        None => Verdict::new(condition::STALLED, "False", reason::SUCCEEDED, ""),
    };
    vec![
        Verdict::new(condition::READY, ready, why, message),
        reconciling,
        stalled,
    ]
}

/// A condition that nobody knows anything about yet.
fn unless_known(status: &ContainerRegistryStatus, kind: &'static str) -> Option<Verdict> {
    let known = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == kind);
    (!known).then(|| {
        Verdict::new(
            kind,
            "Unknown",
            reason::NOT_STARTED,
            "was not looked at yet",
        )
    })
}

/// Merges verdicts into the conditions. The time of a condition changes with its status only.
fn put(
    status: &mut ContainerRegistryStatus,
    registry: &ContainerRegistry,
    verdicts: Vec<Verdict>,
    now: Timestamp,
) {
    let generation = registry.meta().generation;
    status.observed_generation = generation.unwrap_or(-1);
    for Verdict {
        kind,
        status: value,
        reason,
        message,
    } in verdicts
    {
        let before = status
            .conditions
            .iter()
            .position(|condition| condition.type_ == kind);
        let before = before.map(|index| status.conditions.remove(index));
        let since = before
            .filter(|before| before.status == value)
            .map(|before| before.last_transition_time);
        status.conditions.push(Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason,
            message,
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| Time(seconds(now))),
        });
    }
    let place = |condition: &Condition| {
        condition::ALL
            .iter()
            .position(|kind| *kind == condition.type_)
    };
    status
        .conditions
        .sort_by_key(|condition| place(condition).unwrap_or(condition::ALL.len()));
}

/// The API keeps whole seconds; more would differ from what is read back.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn record(status: &mut ContainerRegistryStatus, facts: Facts) {
    let Facts {
        endpoint,
        hostname,
        replicas,
        selector,
        image,
        storage,
        identity,
        certificate,
        load_balancer,
        auth,
    } = facts;
    // The endpoint goes when the load balancer goes, so it follows what was found about that.
    if let Some(load_balancer) = load_balancer {
        status.load_balancer = load_balancer;
        status.endpoint = endpoint;
        status.hostname = hostname;
    }
    if let Some((replicas, ready)) = replicas {
        status.replicas = Some(replicas);
        status.ready_replicas = Some(ready);
    }
    if let Some(certificate) = certificate {
        status.certificate = certificate;
    }
    status.selector = selector.or_else(|| status.selector.take());
    status.image = image.or_else(|| status.image.take());
    status.storage = storage.or_else(|| status.storage.take());
    status.identity = identity.or_else(|| status.identity.take());
    status.auth = auth.or_else(|| status.auth.take());
    status.version = Some(env!("CARGO_PKG_VERSION").to_owned());
}

/// Writes the status if it differs. Returns the object as it is then.
///
/// # Errors
/// When the API refuses or does not answer.
pub async fn publish(
    client: &Client,
    registry: &ContainerRegistry,
    status: ContainerRegistryStatus,
) -> Result<ContainerRegistry, Error> {
    if registry.status.as_ref() == Some(&status) {
        return Ok(registry.clone());
    }
    let (namespace, name) = (
        registry.namespace().unwrap_or_default(),
        registry.name_any(),
    );
    let api = Api::<ContainerRegistry>::namespaced(client.clone(), &namespace);
    let body = json!({
        "apiVersion": ContainerRegistry::api_version(&()),
        "kind": ContainerRegistry::kind(&()),
        // With the uid, so that it cannot become the status of another object of the same name.
        "metadata": { "name": name, "uid": registry.uid() },
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&name, &parameters, &Patch::Apply(body))
        .await
        .context(WriteStatusSnafu { namespace, name })
}

#[cfg(test)]
mod tests;
