//! Conditions, from reports.

use moorage_crds::condition::{self, reason};
use serde_json::json;

use super::*;
use crate::{controller::fixtures::registry, error::Class};

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

fn all_ready() -> Report {
    let mut report = Report::default();
    for part in Part::ALL {
        report.find(part, Finding::ready("fine"));
    }
    report
}

fn with(part: Part, finding: Finding) -> Report {
    let mut report = all_ready();
    report.find(part, finding);
    report
}

/// Status and reason of Ready, Reconciling and Stalled.
fn summary_of(report: &Report) -> [(String, String); 3] {
    let status = after(&registry(&json!({})), report, later(0));
    [condition::READY, condition::RECONCILING, condition::STALLED].map(|kind| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .expect("it is always there");
        (found.status.clone(), found.reason.clone())
    })
}

fn verdict(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_registry_whose_parts_are_ready_is_ready() {
    let done = verdict("False", reason::SUCCEEDED);
    assert_eq!(
        summary_of(&all_ready()),
        [verdict("True", reason::SUCCEEDED), done.clone(), done]
    );
}

#[test]
fn what_a_person_has_to_do_is_stalled_and_not_reconciling() {
    let report = with(
        Part::Auth,
        Finding::failed(Class::Spec, reason::SECRET_NOT_FOUND, "create it"),
    );
    assert_eq!(
        summary_of(&report),
        [
            verdict("False", reason::SECRET_NOT_FOUND),
            verdict("False", reason::WAITING),
            verdict("True", reason::SECRET_NOT_FOUND)
        ]
    );
}

#[test]
fn what_passes_by_itself_is_reconciling_and_not_stalled() {
    let report = with(
        Part::Bucket,
        Finding::failed(Class::Transient, reason::UNAVAILABLE, "no answer"),
    );
    assert_eq!(
        summary_of(&report),
        [
            verdict("False", reason::UNAVAILABLE),
            verdict("True", reason::UNAVAILABLE),
            verdict("False", reason::SUCCEEDED)
        ]
    );
}

#[test]
fn what_a_person_has_to_do_is_named_before_what_passes() {
    let mut report = with(
        Part::Bucket,
        Finding::failed(Class::Transient, reason::UNAVAILABLE, "no answer"),
    );
    report.find(
        Part::Server,
        Finding::failed(Class::Spec, reason::IMAGE_PULL_FAILED, "correct the image"),
    );
    assert_eq!(
        summary_of(&report)[0],
        verdict("False", reason::IMAGE_PULL_FAILED)
    );
}

#[test]
fn a_rolling_update_of_a_registry_that_serves_leaves_it_ready() {
    let rolling = Finding {
        state: State::ReadyAndChanging,
        ..Finding::waiting(reason::ROLLING_OUT, "1 of 1")
    };
    let summary = summary_of(&with(Part::Server, rolling));
    assert_eq!(
        (summary[0].0.as_str(), summary[1].0.as_str()),
        ("True", "True")
    );
}

#[test]
fn a_registry_without_pods_by_wish_is_not_ready_and_nothing_is_under_way() {
    let off = Finding {
        state: State::Off,
        ..Finding::waiting(reason::SCALED_TO_ZERO, "no pod")
    };
    let summary = summary_of(&with(Part::Server, off));
    assert_eq!(summary[0], verdict("False", reason::SCALED_TO_ZERO));
    assert_eq!(
        (summary[1].0.as_str(), summary[2].0.as_str()),
        ("False", "False")
    );
}

/// A status that changed with every look would be written, and would wake the operator, for ever.
#[test]
fn the_same_findings_make_the_same_status_at_any_time() {
    let mut registry = registry(&json!({}));
    let first = after(&registry, &all_ready(), later(0));
    registry.status = Some(first.clone());
    assert_eq!(after(&registry, &all_ready(), later(3600)), first);
}

#[test]
fn the_time_of_a_condition_changes_with_its_status_only() {
    let mut registry = registry(&json!({}));
    let waiting = |message: &str| {
        with(
            Part::Endpoint,
            Finding::waiting(reason::LOAD_BALANCER_PENDING, message),
        )
    };
    let time = |status: &ContainerRegistryStatus| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == condition::ENDPOINT_READY);
        found.expect("it is there").last_transition_time.0
    };
    registry.status = Some(after(&registry, &waiting("one"), later(0)));
    registry.status = Some(after(&registry, &waiting("two"), later(10)));
    assert_eq!(time(registry.status.as_ref().expect("a status")), later(0));
    assert_eq!(time(&after(&registry, &all_ready(), later(20))), later(20));
}

#[test]
fn what_was_not_looked_at_stays_as_it_was() {
    let mut registry = registry(&json!({}));
    registry.status = Some(after(&registry, &all_ready(), later(0)));
    let mut report = Report::default();
    report.find(
        Part::Auth,
        Finding::failed(Class::Spec, reason::SECRET_NOT_FOUND, "create it"),
    );
    let status = after(&registry, &report, later(10));
    let value = |kind: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .map(|found| found.status.as_str())
    };
    assert_eq!(
        (value(condition::BUCKET_READY), value(condition::AUTH_READY)),
        (Some("True"), Some("False"))
    );
}

#[test]
fn a_new_generation_is_taken_up_before_anything_is_done() {
    let status = begun(&registry(&json!({})), later(0));
    assert_eq!(status.observed_generation, 3);
    let kinds: Vec<&str> = status
        .conditions
        .iter()
        .map(|condition| condition.type_.as_str())
        .collect();
    assert_eq!(kinds, condition::ALL);
    let values: Vec<&str> = status
        .conditions
        .iter()
        .map(|condition| condition.status.as_str())
        .collect();
    assert_eq!(values[..3], ["Unknown", "True", "False"]);
}

#[test]
fn the_endpoint_goes_with_its_load_balancer() {
    let mut registry = registry(&json!({}));
    let mut report = all_ready();
    report.facts.endpoint = Some("https://lb.example.com".to_owned());
    report.facts.load_balancer = Some(Some(moorage_crds::LoadBalancerStatus {
        hostname: "lb.example.com".to_owned(),
    }));
    registry.status = Some(after(&registry, &report, later(0)));
    assert_eq!(
        registry
            .status
            .as_ref()
            .and_then(|status| status.endpoint.as_deref()),
        Some("https://lb.example.com")
    );
    report.facts = Facts {
        load_balancer: Some(None),
        ..Facts::default()
    };
    let status = after(&registry, &report, later(10));
    assert_eq!((status.endpoint, status.load_balancer), (None, None));
}
