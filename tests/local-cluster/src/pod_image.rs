//! The cluster's own image: one static program that is the pause container of every pod and the web server of the self-test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use moorage_images::{
    archive,
    layer::Layer,
    oci::{Documents, Runtime},
    platform::Platform,
};

const REPOSITORY: &str = "moorage.local/pod";
const TAG: &str = "1";

/// The image's name in manifests.
pub(crate) fn reference() -> String {
    format!("{REPOSITORY}:{TAG}")
}

/// Writes the image around `program` as an archive that `ctr images import` reads.
pub(crate) fn write(program: &Path, destination: &Path) -> Result<()> {
    let binary =
        fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
    let mut layer = Layer::new();
    layer.file("/pod", 0o755, binary)?;
    let runtime = Runtime {
        // A number, so that kubelet can see that it is not root.
        user: "65532:65532".to_owned(),
        exposed_ports: BTreeSet::new(),
        env: Vec::new(),
        entrypoint: vec!["/pod".to_owned()],
        cmd: vec!["pause".to_owned()],
        volumes: BTreeSet::new(),
        working_dir: "/".to_owned(),
        labels: BTreeMap::new(),
    };
    let documents = Documents::new(
        Platform::host()?,
        &runtime,
        vec![layer.pack()?],
        &reference(),
        TAG,
    )?;
    let file = fs::File::create(destination)
        .with_context(|| format!("failed to create {}", destination.display()))?;
    archive::write(&documents, &reference(), file)
}
