//! As much of the Kubernetes API as one reconcile uses, in memory: objects by path, server-side apply as a merge, and a list of
//! every write. It knows no schemas, no defaults and no field managers; what depends on those is tried on a real API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use moorage_crds::ContainerRegistry;
use serde_json::{Value, json};

#[derive(Clone, Debug, Default)]
pub(super) struct FakeApi(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    /// By path, without the server.
    pub(super) objects: BTreeMap<String, Value>,
    /// Method and path of every write, events apart.
    pub(super) writes: Vec<String>,
    /// Reason and note of every event.
    pub(super) events: Vec<(String, String)>,
    /// The next write of each of these paths is refused.
    pub(super) refuse: BTreeSet<String>,
    versions: u64,
}

/// Where the one registry is.
pub(super) const REGISTRY: &str =
    "/apis/moorage.dev/v1alpha1/namespaces/team-a/containerregistries/images";

impl FakeApi {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test has failed while it held it")
    }

    pub(super) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().writes)
    }

    pub(super) fn put_registry(&self, registry: &ContainerRegistry) {
        self.state().objects.insert(
            REGISTRY.to_owned(),
            serde_json::to_value(registry).expect("JSON"),
        );
    }

    pub(super) fn registry(&self) -> ContainerRegistry {
        serde_json::from_value(self.state().objects[REGISTRY].clone()).expect("a registry")
    }

    pub(super) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(
            self.state()
                .objects
                .get_mut(path)
                .expect("the object is there"),
        );
    }

    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("the body is in memory");
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, answer) =
                    api.state()
                        .answer(&parts.method, parts.uri.path(), parts.uri.query(), body);
                let answer = Response::builder()
                    .status(status)
                    .body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.expect("an answer"))
            }
        });
        Client::new(service, "default")
    }
}

fn refusal(code: StatusCode, message: &str) -> (StatusCode, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""), "message": message, "code": code.as_u16()});
    (code, body)
}

impl State {
    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: Value,
    ) -> (StatusCode, Value) {
        if path.ends_with("/events") {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            self.events.push((text("reason"), text("note")));
            return (StatusCode::CREATED, body);
        }
        let (target, status) = path
            .strip_suffix("/status")
            .map_or((path, false), |target| (target, true));
        if method == Method::GET {
            return match self.objects.get(path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None if query.is_some_and(|query| !query.is_empty()) => {
                    (StatusCode::OK, self.list(path, query.unwrap_or_default()))
                }
                None => refusal(StatusCode::NOT_FOUND, "not found"),
            };
        }
        self.writes.push(format!(
            "{method} {}",
            path.rsplit_once("team-a/").map_or(path, |(_, rest)| rest)
        ));
        if self.refuse.remove(path) {
            return refusal(StatusCode::FORBIDDEN, "the test refuses this");
        }
        if method == Method::DELETE {
            return self.objects.remove(target).map_or_else(
                || refusal(StatusCode::NOT_FOUND, "gone"),
                |object| (StatusCode::OK, object),
            );
        }
        self.versions += 1;
        let version = self.versions.to_string();
        let object = self
            .objects
            .entry(target.to_owned())
            .or_insert_with(|| json!({}));
        if status {
            object["status"] = body["status"].clone();
        } else {
            merge(object, body);
        }
        object["metadata"]["resourceVersion"] = json!(version);
        (StatusCode::OK, object.clone())
    }

    /// Only label selectors of `key=value` terms are understood.
    fn list(&self, path: &str, query: &str) -> Value {
        let wanted: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("labelSelector="))
            .flat_map(|selector| {
                selector
                    .replace("%2F", "/")
                    .replace("%3D", "=")
                    .replace("%2C", ",")
                    .split(',')
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter_map(|term| {
                term.split_once('=')
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
            })
            .collect();
        let fits = |object: &Value| {
            wanted
                .iter()
                .all(|(key, value)| object["metadata"]["labels"][key] == json!(value))
        };
        let below = format!("{path}/");
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(key, object)| key.starts_with(&below) && fits(object))
            .map(|(_, object)| object)
            .collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
    }
}

fn merge(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch,
    }
}
