//! Whole reconciles, against AWS and Kubernetes in memory: what is done, in which order, and what is not done.

mod deletion;

use std::{sync::Arc, time::Duration};

use kube::{
    core::error_boundary::InvalidObject,
    runtime::{reflector, watcher},
};
use moorage_crds::names::{FINALIZER, RECONCILE_ANNOTATION};
use serde_json::{Value, json};

use super::*;
use super::{
    fake_api::{FakeApi, REGISTRY},
    fixtures,
    memory::Memory,
};
use crate::{
    aws::{Cloud, Kind, fake::FakeCloud},
    events::Events,
};

const SECRETS: &str = "/api/v1/namespaces/team-a/secrets";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/team-a/deployments/images";
const SERVICE: &str = "/api/v1/namespaces/team-a/services/images";

/// An operator with one registry, `team-a/images`.
struct World {
    api: FakeApi,
    cloud: Arc<FakeCloud>,
    context: Arc<Context>,
    writer: reflector::store::Writer<DeserializeGuard<ContainerRegistry>>,
}

impl World {
    fn new(spec: &Value) -> Self {
        let (api, cloud) = (FakeApi::default(), Arc::new(FakeCloud::default()));
        api.put_registry(&fixtures::registry(spec));
        let writer = reflector::store::Writer::default();
        let context = Arc::new(Context {
            client: api.client(),
            cloud: Arc::clone(&cloud) as Arc<dyn Cloud>,
            events: Events::new(api.client()),
            registries: writer.as_reader(),
            defaults: fixtures::defaults(),
            resync_period: Duration::from_hours(1),
            memory: Arc::new(Memory::default()),
        });
        Self {
            api,
            cloud,
            context,
            writer,
        }
    }

    /// An operator that has forgotten everything.
    fn restarted(mut self) -> Self {
        let mut context = Context::clone(&self.context);
        context.memory = Arc::new(Memory::default());
        self.context = Arc::new(context);
        self
    }

    async fn reconcile(&mut self) -> Action {
        self.try_reconcile()
            .await
            .expect("the outcome can be published")
    }

    async fn try_reconcile(&mut self) -> Result<Action, Error> {
        let guard = DeserializeGuard(Ok(self.api.registry()));
        self.writer
            .apply_watcher_event(&watcher::Event::Apply(guard.clone()));
        Box::pin(reconcile(Arc::new(guard), Arc::clone(&self.context))).await
    }

    async fn reconcile_what_is_not_understood(&mut self) {
        let invalid = InvalidObject {
            error: "unknown variant `Archive`".to_owned(),
            metadata: self.api.registry().metadata,
        };
        let guard = Arc::new(DeserializeGuard(Err(invalid)));
        Box::pin(reconcile(guard, Arc::clone(&self.context)))
            .await
            .expect("nothing is published");
    }

    /// From nothing to a registry whose pods serve.
    async fn made(spec: &Value) -> Self {
        let mut world = Self::new(spec);
        world.reconcile().await;
        world.reconcile().await;
        world.serve();
        world.reconcile().await;
        world.api.take_writes();
        world.cloud.take_calls();
        world
    }

    fn serve(&self) {
        self.api.edit(DEPLOYMENT, |deployment| {
            deployment["status"] = json!({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1});
        });
    }

    fn condition(&self, kind: &str) -> (String, String) {
        let status = self.api.registry().status.expect("a status");
        let found = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == kind)
            .expect("the condition is there");
        (found.status, found.reason)
    }

    fn key_of(&self, secret: &str) -> Value {
        self.api.state().objects[&format!("{SECRETS}/{secret}")]["data"].clone()
    }

    fn annotate(&self, key: &str, value: &str) {
        let mut registry = self.api.registry();
        registry
            .annotations_mut()
            .insert(key.to_owned(), value.to_owned());
        self.api.put_registry(&registry);
    }

    fn delete(&self) {
        let mut registry = self.api.registry();
        registry.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
        );
        self.api.put_registry(&registry);
    }
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn nothing_is_made_before_the_finalizer_is_there() {
    let mut world = World::new(&json!({}));
    world.reconcile().await;
    assert_eq!(
        world.api.take_writes(),
        ["PATCH containerregistries/images"]
    );
    assert_eq!(world.api.registry().finalizers(), [FINALIZER]);
    assert_eq!(world.cloud.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_is_made_in_the_order_in_which_its_parts_need_each_other() {
    let mut world = World::new(&json!({}));
    world.reconcile().await;
    world.api.take_writes();
    world.reconcile().await;
    assert_eq!(
        world.api.take_writes(),
        [
            "PATCH containerregistries/images/status",
            "PATCH secrets/images-s3-credentials",
            "PATCH secrets/images-login-admin",
            "PATCH secrets/images-htpasswd",
            "PATCH secrets/images-pull",
            "PATCH serviceaccounts/images",
            "PATCH deployments/images",
            "PATCH services/images",
            "PATCH containerregistries/images/status",
        ]
    );
    assert_eq!(
        world.condition(condition::BUCKET_READY),
        is("True", "Succeeded")
    );
    assert_eq!(world.condition(condition::SERVER_AVAILABLE).0, "False");
    world.serve();
    world.reconcile().await;
    assert_eq!(world.condition(condition::READY), is("True", "Succeeded"));
}

/// The promise to people who pay for API calls, and to the API server.
#[tokio::test]
async fn an_idle_reconcile_makes_no_call_to_aws_and_no_write() {
    let mut world =
        World::made(&json!({"server": {"resources": {"requests": {"cpu": "0.5"}}}})).await;
    let action = world.reconcile().await;
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_ne!(
        action,
        Action::await_change(),
        "drift in AWS is still looked for"
    );
}

#[tokio::test]
async fn a_restarted_operator_looks_once_and_changes_nothing() {
    let mut world = World::made(&json!({})).await.restarted();
    world.reconcile().await;
    assert_eq!(world.cloud.take_calls(), ["observe"]);
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_value_of_the_annotation_makes_it_look_and_the_same_value_does_not() {
    let mut world = World::made(&json!({})).await;
    world.annotate(RECONCILE_ANNOTATION, "now");
    world.reconcile().await;
    world.reconcile().await;
    assert_eq!(world.cloud.take_calls(), ["observe"]);
}

#[tokio::test]
async fn a_deleted_child_comes_back_and_the_password_stays() {
    let mut world = World::made(&json!({})).await;
    let password = world.key_of("images-login-admin");
    for path in [DEPLOYMENT, SERVICE, &format!("{SECRETS}/images-htpasswd")] {
        world.api.state().objects.remove(path);
    }
    world.reconcile().await;
    let writes = world.api.take_writes();
    assert!(
        [
            "secrets/images-htpasswd",
            "deployments/images",
            "services/images"
        ]
        .iter()
        .all(|path| writes.contains(&format!("PATCH {path}"))),
        "{writes:?}"
    );
    assert_eq!(world.key_of("images-login-admin"), password);
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_key_is_replaced_and_the_old_one_deleted() {
    let mut world = World::made(&json!({})).await;
    let lost = world.key_of("images-s3-credentials");
    world
        .api
        .state()
        .objects
        .remove(&format!("{SECRETS}/images-s3-credentials"));
    world.reconcile().await;
    assert_ne!(world.key_of("images-s3-credentials"), lost);
    let user = world
        .cloud
        .world()
        .users
        .values()
        .next()
        .cloned()
        .expect("the user");
    assert_eq!(user.keys.len(), 1);
}

/// AWS shows a secret once. A key whose Secret could not be written must not stay behind.
#[tokio::test]
async fn a_key_that_could_not_be_kept_is_not_leaked() {
    let mut world = World::new(&json!({}));
    world.reconcile().await;
    world
        .api
        .state()
        .refuse
        .insert(format!("{SECRETS}/images-s3-credentials"));
    world.reconcile().await;
    assert_eq!(
        world.condition(condition::IDENTITY_READY),
        is("False", "KubernetesError")
    );
    assert!(
        !world.api.state().objects.contains_key(DEPLOYMENT),
        "pods without keys could not start"
    );
    world = world.restarted();
    world.reconcile().await;
    assert_eq!(
        world.condition(condition::IDENTITY_READY),
        is("True", "Succeeded")
    );
    let keys = world
        .cloud
        .world()
        .users
        .values()
        .next()
        .expect("the user")
        .keys
        .clone();
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn a_registry_goes_on_while_aws_fails_and_does_not_ask_at_every_event() {
    let mut world = World::made(&json!({})).await;
    world.cloud.fail_next("observe", Kind::Unavailable);
    world.annotate(RECONCILE_ANNOTATION, "now");
    world.api.state().objects.remove(DEPLOYMENT);
    world.reconcile().await;
    assert!(
        world.api.state().objects.contains_key(DEPLOYMENT),
        "a pod does not need AWS to be brought back"
    );
    assert_eq!(
        world.condition(condition::READY),
        is("False", "Unavailable")
    );
    assert_eq!(world.condition(condition::RECONCILING).0, "True");
    world.reconcile().await;
    assert_eq!(world.cloud.take_calls(), ["observe"]);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_goes_on_when_it_appears() {
    let mut world = World::new(
        &json!({"auth": {"users": [{"name": "ci", "passwordSecretRef": {"name": "pw"}}]}}),
    );
    world.reconcile().await;
    world.reconcile().await;
    assert_eq!(
        world.condition(condition::AUTH_READY),
        is("False", "SecretNotFound")
    );
    assert_eq!(world.condition(condition::STALLED).0, "True");
    assert_eq!(world.cloud.calls(), Vec::<String>::new());
    let (_, secret) = fixtures::secret("pw", &[("password", "hunter2")]);
    world.api.state().objects.insert(
        format!("{SECRETS}/pw"),
        serde_json::to_value(secret).expect("JSON"),
    );
    world.reconcile().await;
    assert_eq!(
        world.condition(condition::AUTH_READY),
        is("True", "Succeeded")
    );
    assert!(
        world
            .api
            .state()
            .events
            .iter()
            .all(|(_, note)| !note.contains("hunter2"))
    );
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_written() {
    let mut world = World::new(&json!({}));
    let foreign = json!({"metadata": {"name": "images", "namespace": "team-a"}, "spec": {"clusterIP": "None"}});
    world
        .api
        .state()
        .objects
        .insert(SERVICE.to_owned(), foreign.clone());
    world.reconcile().await;
    world.reconcile().await;
    assert_eq!(
        world.condition(condition::ENDPOINT_READY),
        is("False", "NameTaken")
    );
    assert_eq!(world.api.state().objects[SERVICE], foreign);
    assert_eq!(world.cloud.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn the_login_of_a_user_who_leaves_is_removed() {
    let mut world =
        World::made(&json!({"auth": {"users": [{"name": "stays"}, {"name": "leaves"}]}})).await;
    let mut registry = world.api.registry();
    registry.spec.auth.users.retain(|user| user.name == "stays");
    world.api.put_registry(&registry);
    world.reconcile().await;
    let state = world.api.state();
    let logins: Vec<&String> = state
        .objects
        .keys()
        .filter(|path| path.contains("-login-"))
        .collect();
    assert_eq!(logins, [&format!("{SECRETS}/images-login-stays")]);
}

#[tokio::test]
async fn a_suspended_registry_is_left_alone() {
    let mut world = World::made(&json!({})).await;
    let mut registry = world.api.registry();
    registry.spec.suspend = true;
    world.api.put_registry(&registry);
    world.api.state().objects.remove(DEPLOYMENT);
    world.reconcile().await;
    assert_eq!(
        world.api.take_writes(),
        ["PATCH containerregistries/images/status"]
    );
    assert_eq!(
        world.condition(condition::RECONCILING),
        is("False", "Suspended")
    );
    world.reconcile().await;
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

/// A look whose time is over is made again only when the steps get as far as AWS. Else it must not wake us every second.
#[tokio::test]
async fn a_registry_that_is_held_up_is_not_retried_every_second_when_its_look_is_over() {
    let mut world = World::made(&json!({})).await;
    let mut remembered = world.context.memory.recall(fixtures::UID);
    remembered.look.as_mut().expect("it was looked at").until = Instant::now();
    world.context.memory.remember(fixtures::UID, remembered);
    let mut registry = world.api.registry();
    registry.spec.auth.users =
        serde_json::from_value(json!([{"name": "ci", "passwordSecretRef": {"name": "not-there"}}]))
            .expect("users");
    world.api.put_registry(&registry);
    let action = world.reconcile().await;
    assert_eq!(
        world.condition(condition::AUTH_READY),
        is("False", "SecretNotFound")
    );
    assert_ne!(action, Action::requeue(Duration::from_secs(1)));
}

/// While the API takes no status, AWS must not be asked at each attempt to write it.
#[tokio::test]
async fn what_was_found_in_aws_is_remembered_when_the_status_cannot_be_written() {
    let mut world = World::made(&json!({})).await;
    world.cloud.fail_next("observe", Kind::Unavailable);
    world.annotate(RECONCILE_ANNOTATION, "now");
    world
        .api
        .state()
        .refuse
        .insert(format!("{REGISTRY}/status"));
    world
        .try_reconcile()
        .await
        .expect_err("the status cannot be written");
    world.reconcile().await;
    assert_eq!(world.cloud.take_calls(), ["observe"]);
}
