//! What each section of the configuration means. One file per section; here is what they make together.

use std::path::Path;

pub use self::{
    auth::Auth,
    http::{Address, ClientAuth, Http, Limits, MinimumTls, Tls},
    log::{Log, LogFormat, LogLevel},
    storage::{Driver, Storage},
};
use super::reader::Reader;

mod auth;
mod http;
mod log;
mod storage;

/// Reads all sections, each to its end, whatever is wrong with the others. `None` when a section cannot exist as it was said;
/// the reader then holds the reason.
pub(super) fn read(
    reader: &mut Reader<'_>,
    data: &Path,
) -> Option<(Log, Storage, Auth, Http, Limits)> {
    let log = log::read(reader);
    let storage = storage::read(reader, data);
    let auth = auth::read(reader);
    let http = http::read(reader);
    let limits = http::limits(reader);
    not_yet(reader);
    Some((log, storage?, auth?, http?, limits))
}

/// Keys that may be said as long as they ask for nothing.
fn not_yet(reader: &mut Reader<'_>) {
    use super::raw::Value;

    if let Some(Value::List(endpoints)) = reader
        .node("notifications.endpoints")
        .map(|node| &node.value)
    {
        let disabled = |node: &super::raw::Node| matches!(node.entry("disabled").map(|node| &node.value), Some(Value::Scalar(text)) if text == "true");
        if !endpoints.iter().all(disabled) {
            reader.problem("notifications.endpoints", super::schema::NOTIFICATIONS);
        }
    }
    let mut validation = false;
    for key in ["validation.disabled", "validation.enabled"] {
        let said = reader.node(key).is_some();
        validation |= said && reader.flag(key, false) == (key == "validation.disabled");
    }
    if validation {
        reader.warn(
            "validation",
            "a manifest is accepted only when everything it needs is there; this cannot be switched off",
        );
    }
    let platforms = reader.text("validation.manifests.indexes.platforms");
    if platforms.is_some_and(|platforms| platforms != "all")
        || reader
            .node("validation.manifests.indexes.platformlist")
            .is_some()
    {
        reader.problem(
            "validation.manifests.indexes.platforms",
            "only `all` is supported yet: an index is accepted when all its manifests are there",
        );
    }
}
