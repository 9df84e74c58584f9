//! Events on a `ContainerRegistry`: one for each thing that was changed, and one for each thing that begins to go wrong.
//!
//! An event is a courtesy. One that cannot be written is logged and forgotten; nothing else depends on it.

use kube::{
    Client, Resource,
    core::Status,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use moorage_crds::{ContainerRegistry, names::FIELD_MANAGER};
use tracing::{debug, warn};

/// The most bytes that Kubernetes takes as the note of an event.
const LONGEST_NOTE: usize = 1024;
/// The most characters that Kubernetes takes as the action of an event.
const LONGEST_ACTION: usize = 128;

/// Writes events. One for the whole program, because it folds repeated events into series.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// A writer of events.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Recorder::new(
            client,
            Reporter {
                controller: FIELD_MANAGER.to_owned(),
                instance: None,
            },
        ))
    }

    /// Something was changed.
    pub async fn changed(&self, registry: &ContainerRegistry, reason: &str, note: &str) {
        self.publish(EventType::Normal, registry, reason, note)
            .await;
    }

    /// Something begins to go wrong.
    pub async fn warning(&self, registry: &ContainerRegistry, reason: &str, note: &str) {
        self.publish(EventType::Warning, registry, reason, note)
            .await;
    }

    async fn publish(
        &self,
        kind: EventType,
        registry: &ContainerRegistry,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(cut(note, LONGEST_NOTE).to_owned()),
            // Events are folded into one when everything but the note is the same. The action keeps different ones apart.
            action: cut(note, LONGEST_ACTION).to_owned(),
            secondary: None,
        };
        let mut reference = registry.object_ref(&());
        reference.resource_version = None;
        match self.0.publish(&event, &reference).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if is_of_a_namespace_that_ends(&status) => {
                debug!(reason, note, "nobody can read an event here any more");
            }
            Err(error) => warn!(%error, reason, note, "failed to write an event"),
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// Nothing new can be made in a namespace that is being deleted, and that is how most registries end.
fn is_of_a_namespace_that_ends(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// The beginning of a text, cut between characters.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 100), "aé");
    }
}
