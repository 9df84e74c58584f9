//! How the pods are, in words that a person can act on. Pure.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;
use moorage_crds::condition::reason;

use super::report::{Finding, State};
use crate::error::Class;

/// How many pods there are and how many serve.
#[must_use]
pub fn replicas(deployment: &Deployment) -> (i32, i32) {
    let status = deployment.status.as_ref();
    (
        status.and_then(|status| status.replicas).unwrap_or(0),
        status.and_then(|status| status.ready_replicas).unwrap_or(0),
    )
}

/// Whether the pods are all new, all there and all serving. When they are, nobody needs to look at them one by one.
#[must_use]
pub fn is_settled(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else {
        return false;
    };
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let count = |number: Option<i32>| number.unwrap_or(0);
    status.observed_generation >= deployment.metadata.generation
        && count(status.updated_replicas) == wanted
        && count(status.available_replicas) == wanted
        && count(status.replicas) == wanted
}

/// How the pods are. `pods` may be empty when they are settled.
#[must_use]
pub fn finding(deployment: &Deployment, pods: &[Pod]) -> Finding {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    if is_settled(deployment) {
        return match wanted {
            0 => Finding {
                state: State::Off,
                reason: reason::SCALED_TO_ZERO,
                message: "spec.server.replicas is 0; no pod serves".to_owned(),
            },
            1 => Finding::ready("1 pod serves"),
            many => Finding::ready(format!("{many} pods serve")),
        };
    }
    let serving = replicas(deployment).1;
    if let Some((reason, trouble)) = first_trouble(pods).or_else(|| refused(deployment)) {
        return Finding::failed(
            Class::Spec,
            reason,
            format!("{trouble} ({serving} of {wanted} pods serve)"),
        );
    }
    let message = format!("pods are starting or being replaced: {serving} of {wanted} serve");
    if wanted > 0 && serving >= wanted {
        return Finding {
            state: State::ReadyAndChanging,
            reason: reason::ROLLING_OUT,
            message,
        };
    }
    Finding::waiting(reason::ROLLING_OUT, message)
}

/// The trouble of the first pod that has one, by name, so that the message does not change from one look to the next.
fn first_trouble(pods: &[Pod]) -> Option<(&'static str, String)> {
    let mut pods: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    pods.sort_by_key(|pod| pod.name_any());
    pods.into_iter().find_map(trouble)
}

fn trouble(pod: &Pod) -> Option<(&'static str, String)> {
    let status = pod.status.as_ref()?;
    let name = pod.name_any();
    let mut containers = status.container_statuses.iter().flatten();
    if let Some(found) = containers.find_map(|container| container_trouble(&name, container)) {
        return Some(found);
    }
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    let why = unscheduled.message.clone().unwrap_or_default();
    Some((
        reason::UNSCHEDULABLE,
        format!("no node takes pod {name}: {why}"),
    ))
}

fn container_trouble(pod: &str, container: &ContainerStatus) -> Option<(&'static str, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let image = &container.image;
    match waiting.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull"
        | "ImageInspectError" => Some((
            reason::IMAGE_PULL_FAILED,
            format!(
                "pod {pod} cannot pull image {image:?}; correct spec.server.image, or give a Secret that may pull it in \
                 spec.server.imagePullSecrets"
            ),
        )),
        "CrashLoopBackOff" => Some((
            reason::CRASH_LOOP,
            format!(
                "the server in pod {pod} starts and ends again and again; see `kubectl logs {pod}`"
            ),
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let why = waiting.message.clone().unwrap_or_default();
            Some((
                reason::CRASH_LOOP,
                format!("the container of pod {pod} cannot be created: {why}"),
            ))
        }
        _ => None,
    }
}

/// Pods that could not even be created: a quota, or a policy of the namespace.
fn refused(deployment: &Deployment) -> Option<(&'static str, String)> {
    let conditions = deployment.status.as_ref()?.conditions.iter().flatten();
    let failure = conditions
        .into_iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    Some((
        reason::UNSCHEDULABLE,
        format!(
            "pods cannot be created: {}",
            failure.message.clone().unwrap_or_default()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "images", "generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status
        }))
        .expect("a Deployment")
    }

    fn pod(name: &str, reason: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"containerStatuses": [{
                "name": "registry", "image": "registry.example.com/none:1", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "back-off 10s"}}
            }]}
        }))
        .expect("a Pod")
    }

    #[test]
    fn a_settled_deployment_is_ready_whatever_its_pods_say() {
        let settled = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        assert_eq!(
            finding(&deployment(&settled), &[]),
            Finding::ready("2 pods serve")
        );
    }

    #[test]
    fn the_numbers_of_an_older_generation_do_not_count() {
        let stale = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        assert_eq!(
            finding(&deployment(&stale), &[]).state,
            State::ReadyAndChanging
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named() {
        let finding = finding(
            &deployment(&json!({"observedGeneration": 2, "replicas": 1})),
            &[pod("images-b", "ImagePullBackOff")],
        );
        assert_eq!(
            (finding.state, finding.reason),
            (State::Failed(Class::Spec), reason::IMAGE_PULL_FAILED)
        );
        assert!(
            finding.message.contains("registry.example.com/none:1"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn the_message_does_not_depend_on_the_order_of_the_pods() {
        let deployment = deployment(&json!({"observedGeneration": 2, "replicas": 2}));
        let (a, b) = (
            pod("images-a", "CrashLoopBackOff"),
            pod("images-b", "ErrImagePull"),
        );
        assert_eq!(
            finding(&deployment, &[a.clone(), b.clone()]),
            finding(&deployment, &[b, a])
        );
    }

    #[test]
    fn a_pod_that_is_only_being_created_is_no_trouble() {
        let finding = finding(
            &deployment(&json!({"observedGeneration": 2, "replicas": 1})),
            &[pod("images-a", "ContainerCreating")],
        );
        assert_eq!(
            (finding.state, finding.reason),
            (State::Waiting, reason::ROLLING_OUT)
        );
    }
}
