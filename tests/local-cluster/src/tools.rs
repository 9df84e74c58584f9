//! The outside programs: built from pinned sources of the package registries, once per content, into the cache.
//!
//! The sources in tests/tools are part of this program, so that it works from any directory and a change of theirs makes a
//! new place in the cache instead of overwriting what a running cluster uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use crate::{
    Location,
    location::{create_directory, text, write_file},
    packages,
    process::output,
    progress::note,
};

/// The version that the cluster's programs say they are: the one in tests/tools/cluster/go.mod.
const KUBERNETES: &str = "v1.34.4";

/// A program, or a set of programs, that tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// etcd, the Kubernetes programs, kubectl and the AWS cloud controller in one binary.
    Cluster,
    /// The program in the local cluster's own images.
    Pod,
    /// The AWS stand-in, in a Python environment.
    Moto,
    /// Pushes and pulls images without an engine.
    Crane,
    /// An S3 server over a directory, with several users.
    Versitygw,
}

/// The programs that the binary of [`Tool::Cluster`] is called by.
const PROGRAMS: [&str; 8] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "aws-cloud-controller-manager",
];

/// A source file: its name in the module, and its content.
type Source = (&'static str, &'static str);

macro_rules! source {
    ($directory:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!("../../tools/", $directory, "/", $name)),
        )
    };
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 5] = [
        Self::Cluster,
        Self::Pod,
        Self::Moto,
        Self::Crane,
        Self::Versitygw,
    ];

    /// What a cluster needs.
    pub(crate) const OF_CLUSTER: [Self; 4] = [Self::Cluster, Self::Pod, Self::Moto, Self::Crane];

    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Pod => "pod",
            Self::Moto => "moto",
            Self::Crane => "crane",
            Self::Versitygw => "versitygw",
        }
    }

    fn sources(self) -> Vec<Source> {
        match self {
            Self::Cluster => vec![
                source!("cluster", "go.mod"),
                source!("cluster", "go.sum"),
                source!("cluster", "main.go"),
                source!("cluster", "cloud_controller.go"),
            ],
            Self::Pod => vec![source!("pod", "go.mod"), source!("pod", "main.go")],
            Self::Moto => vec![
                source!("moto", "requirements.txt"),
                source!("moto", "server.py"),
                source!("moto", "seed.py"),
                source!("moto", "call.py"),
            ],
            Self::Crane => vec![source!("crane", "go.mod"), source!("crane", "go.sum")],
            Self::Versitygw => vec![
                source!("versitygw", "go.mod"),
                source!("versitygw", "go.sum"),
            ],
        }
    }

    /// The Go package, seen from the module of the sources.
    fn package(self) -> &'static str {
        match self {
            Self::Crane => "github.com/google/go-containerregistry/cmd/crane",
            Self::Versitygw => "github.com/versity/versitygw/cmd/versitygw",
            Self::Cluster | Self::Pod | Self::Moto => ".",
        }
    }

    fn linker_flags(self) -> String {
        let version = "-X k8s.io/component-base/version";
        match self {
            // Without them clients see v0.0.0 and refuse, or warn about, the skew.
            Self::Cluster => format!(
                "-s -w {version}.gitVersion={KUBERNETES} {version}.gitMajor=1 {version}.gitMinor=34 \
                 {version}.gitTreeState=clean"
            ),
            _ => "-s -w".to_owned(),
        }
    }

    /// Where this content of the tool is, or will be.
    #[must_use]
    pub fn directory(self, location: &Location) -> PathBuf {
        let mut hash = Sha256::new();
        let flags = self.linker_flags();
        let parts = self
            .sources()
            .into_iter()
            .flat_map(|(name, text)| [name, text]);
        for part in parts.chain([self.package(), &flags, std::env::consts::ARCH]) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let mut key = hex::encode(hash.finalize());
        key.truncate(16);
        location
            .cache
            .join("tools")
            .join(format!("{}-{key}", self.name()))
    }

    /// The tool's program (for moto: the Python interpreter).
    #[must_use]
    pub fn program(self, location: &Location) -> PathBuf {
        let directory = self.directory(location);
        match self {
            Self::Moto => directory.join("venv/bin/python"),
            _ => directory.join("bin").join(self.name()),
        }
    }

    /// Builds the tool unless it is in the cache, and returns its program.
    ///
    /// # Errors
    /// When Go or Python is missing, or a registry cannot be reached.
    pub fn install(self, location: &Location) -> Result<PathBuf> {
        let directory = self.directory(location);
        let complete = directory.join("complete");
        // Two clusters coming up at once must not build the same thing into the same place.
        let _lock = location.lock(self.name())?;
        if !complete.is_file() {
            if directory.is_dir() {
                fs::remove_dir_all(&directory)
                    .with_context(|| format!("failed to clear {}", directory.display()))?;
            }
            let source = directory.join("src");
            create_directory(&source)?;
            for (name, content) in self.sources() {
                write_file(&source.join(name), content)?;
            }
            match self {
                Self::Moto => make_environment(&directory)?,
                _ => self.build(&directory)?,
            }
            write_file(&complete, "")?;
        }
        Ok(self.program(location))
    }

    fn build(self, directory: &Path) -> Result<()> {
        let go = find_go()?;
        if self == Self::Cluster {
            note(
                "building Kubernetes from source: about 7 minutes the first time, once per machine",
            );
        }
        let bin = directory.join("bin");
        let mut build = Command::new(go);
        build
            .current_dir(directory.join("src"))
            .env("CGO_ENABLED", "0")
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .env("GOWORK", "off")
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags"])
            .arg(self.linker_flags())
            .arg("-o")
            .arg(bin.join(self.name()))
            .arg(self.package());
        output(&mut build).with_context(|| format!("failed to build {}", self.name()))?;
        if self == Self::Cluster {
            for program in PROGRAMS {
                std::os::unix::fs::symlink(self.name(), bin.join(program))
                    .with_context(|| format!("failed to link {program}"))?;
            }
        }
        Ok(())
    }
}

/// One of the programs in the binary of [`Tool::Cluster`].
pub(crate) fn program(location: &Location, name: &str) -> PathBuf {
    Tool::Cluster.directory(location).join("bin").join(name)
}

/// A file of the AWS stand-in.
pub(crate) fn moto_source(location: &Location, name: &str) -> PathBuf {
    Tool::Moto.directory(location).join("src").join(name)
}

fn find_go() -> Result<&'static str> {
    for go in ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"] {
        if Command::new(go).arg("version").output().is_ok() {
            return Ok(go);
        }
    }
    bail!(
        "failed to find Go, which builds the cluster's programs: install version 1.21 or newer (it fetches the version that \
         tests/tools asks for) and put `go` on PATH"
    )
}

fn make_environment(directory: &Path) -> Result<()> {
    let environment = directory.join("venv");
    let make = || {
        let mut command = Command::new("python3");
        output(command.args(["-m", "venv", "--clear", text(&environment)?]))
    };
    if let Err(error) = make() {
        // Debian's python3 comes without the part of venv that installs pip.
        packages::install(&["python3", "python3-venv"])
            .with_context(|| format!("failed to make a Python environment: {error:#}"))?;
        make()?;
    }
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--requirement",
    ])
    .arg(directory.join("src/requirements.txt"));
    output(&mut pip).context("failed to install moto")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_place_of_its_own_in_the_cache() {
        let location = Location {
            name: "a".parse().unwrap(),
            state: "/s".into(),
            cache: "/c".into(),
        };
        let places: std::collections::BTreeSet<_> = Tool::ALL
            .iter()
            .map(|tool| tool.directory(&location))
            .collect();
        assert_eq!(places.len(), Tool::ALL.len());
    }

    #[test]
    fn the_version_in_the_binary_is_the_version_in_the_module() {
        let (_, module) = Tool::Cluster.sources().swap_remove(0);
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES}\n")));
    }
}
