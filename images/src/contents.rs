//! What is in each image, and how it starts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    layer::{Layer, Owner},
    oci::{Blob, Documents, Runtime},
    platform::Platform,
};

/// Where released images live. The whole name is this, a slash, and [`Image::name`].
pub const REPOSITORY: &str = "ghcr.io/moorage-dev";

/// The tag when none is asked for: the version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The image of the operator at this version.
pub const OPERATOR: &str = concat!("ghcr.io/moorage-dev/operator:", env!("CARGO_PKG_VERSION"));

/// The image of the registry server at this version.
pub const REGISTRY_SERVER: &str = concat!(
    "ghcr.io/moorage-dev/registry-server:",
    env!("CARGO_PKG_VERSION")
);

/// Where the registry keeps its data when nothing else is configured: the path that every guide to `registry:2` mounts.
const REGISTRY_DATA: &str = "/var/lib/registry";

const PASSWD: &str = "\
root:x:0:0:root:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
nonroot:x:65532:
";
/// Says out loud what glibc does without this file, so that /etc/hosts and `hostAliases` keep working.
const NSSWITCH: &str = "hosts: files dns\n";

/// An image that Moorage publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Image {
    /// The controller.
    Operator,
    /// The registry.
    RegistryServer,
}

impl Image {
    /// Every image.
    pub const ALL: [Self; 2] = [Self::Operator, Self::RegistryServer];

    /// The last part of the image's repository, and the name of its archive without `.tar`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::RegistryServer => "registry-server",
        }
    }

    /// The package that has the program.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Operator => "moorage-operator",
            Self::RegistryServer => "moorage-registry-server",
        }
    }

    /// The program's file name.
    #[must_use]
    pub fn binary(self) -> &'static str {
        match self {
            Self::Operator => "moorage-operator",
            Self::RegistryServer => "moorage-registry",
        }
    }

    /// The whole name with a tag, as a manifest writes it.
    #[must_use]
    pub fn reference(self, tag: &str) -> String {
        format!("{REPOSITORY}/{}:{tag}", self.name())
    }

    /// The image around `binary`, the static program.
    ///
    /// # Errors
    /// When a layer cannot be packed.
    pub fn assemble(self, platform: Platform, binary: Vec<u8>, tag: &str) -> Result<Documents> {
        let layers = vec![base()?, self.program(binary)?];
        Documents::new(
            platform,
            &self.runtime(tag),
            layers,
            &self.reference(tag),
            tag,
        )
    }

    fn program(self, binary: Vec<u8>) -> Result<Blob> {
        let mut layer = Layer::new();
        layer.file(&self.program_path(), 0o755, binary)?;
        if self == Self::RegistryServer {
            layer.directory(REGISTRY_DATA, 0o755, Owner::NonRoot)?;
            // `registry` is the program's name in registry:2 and registry:3, and manifests say `command: [registry, …]`.
            layer.symlink("/bin/registry", "../usr/local/bin/moorage-registry")?;
        }
        layer.pack()
    }

    fn program_path(self) -> String {
        format!("/usr/local/bin/{}", self.binary())
    }

    fn runtime(self, tag: &str) -> Runtime {
        let nonroot = Owner::NonRoot.id();
        let base = Runtime {
            user: format!("{nonroot}:{nonroot}"),
            exposed_ports: BTreeSet::new(),
            env: vec!["PATH=/usr/local/bin:/bin".to_owned()],
            entrypoint: vec![self.program_path()],
            cmd: Vec::new(),
            volumes: BTreeSet::new(),
            working_dir: "/".to_owned(),
            labels: self.labels(tag),
        };
        match self {
            Self::Operator => Runtime {
                exposed_ports: BTreeSet::from(["8080/tcp".to_owned()]),
                ..base
            },
            Self::RegistryServer => Runtime {
                exposed_ports: BTreeSet::from(["5000/tcp".to_owned()]),
                cmd: vec!["serve".to_owned()],
                volumes: BTreeSet::from([REGISTRY_DATA.to_owned()]),
                ..base
            },
        }
    }

    fn labels(self, tag: &str) -> BTreeMap<String, String> {
        let (title, description) = match self {
            Self::Operator => (
                "Moorage operator",
                "Turns a ContainerRegistry into a working private registry on AWS",
            ),
            Self::RegistryServer => (
                "Moorage registry server",
                "A container registry that is compatible with CNCF distribution",
            ),
        };
        [
            ("title", title),
            ("description", description),
            ("version", tag),
            ("licenses", env!("CARGO_PKG_LICENSE")),
            ("source", env!("CARGO_PKG_REPOSITORY")),
            ("url", env!("CARGO_PKG_REPOSITORY")),
            ("vendor", "Moorage"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .collect()
    }
}

/// What both images share, as a layer of its own: a node that runs one of them has it for the other.
fn base() -> Result<Blob> {
    let mut layer = Layer::new();
    layer
        .file("/etc/passwd", 0o644, PASSWD)?
        .file("/etc/group", 0o644, GROUP)?
        .file("/etc/nsswitch.conf", 0o644, NSSWITCH)?
        .file(
            "/etc/ssl/certs/ca-certificates.crt",
            0o644,
            certificate_authorities(),
        )?
        .directory("/tmp", 0o1777, Owner::Root)?;
    layer.pack()
}

/// Mozilla's certificate authorities as PEM. Both programs read the system's store (rustls-native-certs), and this is the
/// first place where it looks. From a crate, not from this machine, whose store may hold authorities of its owner.
fn certificate_authorities() -> String {
    let line_ending = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|certificate| {
            pem::encode_config(
                &pem::Pem::new("CERTIFICATE", certificate.as_ref()),
                line_ending,
            )
        })
        .collect()
}
