//! The file that carries an image: an OCI image layout and a `docker save` archive in one tar.
//!
//! containerd and skopeo's `oci-archive:` read `index.json`; `docker load`, crane and skopeo's `docker-archive:` read
//! `manifest.json`. Both name the same blobs, which are there once.

use std::{collections::BTreeMap, io::Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    layer::{Owner, deterministic_header},
    oci::{Blob, Documents},
};

/// Writes the image to `destination`.
///
/// # Errors
/// When writing fails.
pub fn write(documents: &Documents, reference: &str, destination: impl Write) -> Result<()> {
    let path = |blob: &Blob| format!("blobs/sha256/{}", blob.digest());
    let docker = serde_json::to_vec(&[DockerManifest {
        config: path(&documents.config),
        repo_tags: [reference],
        layers: documents.layers.iter().map(path).collect(),
    }])
    .context("failed to serialise manifest.json")?;

    let mut files = BTreeMap::from([
        ("index.json".to_owned(), documents.index.as_slice()),
        ("manifest.json".to_owned(), docker.as_slice()),
        (
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice(),
        ),
    ]);
    let blobs = documents
        .layers
        .iter()
        .chain([&documents.config, &documents.manifest]);
    files.extend(blobs.map(|blob| (path(blob), blob.bytes())));

    let mut tar = tar::Builder::new(destination);
    for (path, content) in files {
        let mut header = deterministic_header(0o644, Owner::Root);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, &path, content)
            .with_context(|| format!("failed to write {path} into the archive"))?;
    }
    let mut destination = tar.into_inner().context("failed to finish the archive")?;
    destination.flush().context("failed to flush the archive")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest<'a> {
    config: String,
    repo_tags: [&'a str; 1],
    layers: Vec<String>,
}
