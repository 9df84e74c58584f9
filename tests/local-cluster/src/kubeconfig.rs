//! kubeconfig files. Written as JSON, which is YAML.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use crate::info::write_private;

/// Writes the kubeconfig of one user of the cluster `name`.
pub(crate) fn write(path: &Path, name: &str, server: &str, ca: &Path, token: &str) -> Result<()> {
    let ca = fs::read_to_string(ca).with_context(|| format!("failed to read {}", ca.display()))?;
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": server,
            "certificate-authority-data": base64(ca.as_bytes()),
        }}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    });
    write_private(path, &serde_json::to_vec_pretty(&document)?)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
