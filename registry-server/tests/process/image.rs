//! A small image as a folder in the layout of the OCI specification, which skopeo and crane read and write.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Size of the one layer, in bytes: larger than what clients send at once, and not a round number.
const LAYER: usize = 3 * 1024 * 1024 + 517;

/// Writes the image into `folder`. Yields the digest of its manifest.
pub(crate) fn write(folder: &Path, seed: u8) -> String {
    fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
    let layer = layer(seed);
    let layer_digest = blob(folder, &layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
    });
    let config = bytes(&config);
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &blob(folder, &config), &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, &layer)],
    }));
    let digest = blob(folder, &manifest);
    let index = json!({
        "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", &digest, &manifest)],
    });
    fs::write(folder.join("index.json"), bytes(&index)).expect("written");
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .expect("written");
    digest
}

/// The digest of the manifest of the one image in `folder`, all of whose blobs are there and are what they are called.
pub(crate) fn read(folder: &Path) -> String {
    let index: Value =
        serde_json::from_slice(&fs::read(folder.join("index.json")).expect("an index"))
            .expect("JSON");
    let digest = index["manifests"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let manifest: Value = serde_json::from_slice(&content(folder, &digest)).expect("JSON");
    for blob in manifest["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .chain([&manifest["config"]])
    {
        content(folder, blob["digest"].as_str().expect("a digest"));
    }
    digest
}

fn content(folder: &Path, digest: &str) -> Vec<u8> {
    let content = fs::read(folder.join("blobs").join(digest.replace(':', "/"))).expect("a blob");
    assert_eq!(sha256(&content), digest);
    content
}

/// A tar archive with one file that does not compress.
pub(crate) fn layer(seed: u8) -> Vec<u8> {
    let mut file = Vec::with_capacity(LAYER + 32);
    let mut block = Sha256::digest([seed]);
    while file.len() < LAYER {
        file.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    file.truncate(LAYER);
    let mut header = tar_header(&file);
    let padding = (512 - file.len() % 512) % 512;
    header.extend(file);
    header.extend(vec![0; padding + 1024]);
    header
}

fn tar_header(file: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "data");
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", file.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn blob(folder: &Path, content: &[u8]) -> String {
    let digest = sha256(content);
    fs::write(folder.join("blobs").join(digest.replace(':', "/")), content).expect("written");
    digest
}

fn descriptor(media_type: &str, digest: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// As a digest of the specification.
pub(crate) fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}
