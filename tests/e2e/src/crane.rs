//! The `crane` client, with a configuration of its own for each caller.

use std::{fs, process::Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::Cluster;

/// A `crane` that has its own credentials and scratch folder.
#[derive(Debug)]
pub struct Crane {
    program: std::path::PathBuf,
    home: TempDir,
}

impl Crane {
    /// One that is not logged in anywhere.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            program: cluster.info.crane.clone(),
            home: tempfile::tempdir()?,
        })
    }

    /// Logs in. The password goes in by standard input.
    ///
    /// # Errors
    /// What crane prints, when it fails.
    pub async fn login(&self, address: &str, user: &str, password: &str) -> Result<()> {
        self.run_with_input(
            &[
                "auth",
                "login",
                address,
                "--username",
                user,
                "--password-stdin",
            ],
            password,
        )
        .await?;
        Ok(())
    }

    /// Runs `crane --insecure` with these arguments and gives what it prints.
    ///
    /// # Errors
    /// What it prints on standard error, when it fails.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_input(arguments, "").await
    }

    async fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            // The load balancer ends TLS; behind it, where these tests stand, the Service speaks HTTP.
            .arg("--insecure")
            .env("DOCKER_CONFIG", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let mut stdin = child.stdin.take().context("standard input was asked for")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "crane {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Pushes an image of one small layer and gives the layer's bytes.
    ///
    /// # Errors
    /// What crane prints, when it fails.
    pub async fn push_small_image(&self, reference: &str) -> Result<Vec<u8>> {
        let folder = self.home.path().join("layer");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("hello.txt"),
            format!("hello from {reference}\n"),
        )?;
        let layer = self.home.path().join("layer.tar");
        let archived = Command::new("tar")
            .arg("-C")
            .arg(&folder)
            .arg("-cf")
            .arg(&layer)
            .arg("hello.txt")
            .status()
            .await?;
        ensure!(archived.success(), "tar failed");
        let path = layer.to_str().context("a temporary path is text")?;
        self.run(&["append", "--oci-empty-base", "-f", path, "-t", reference])
            .await?;
        Ok(b"hello from "
            .iter()
            .copied()
            .chain(reference.bytes())
            .chain(*b"\n")
            .collect())
    }

    /// The content of the one file in the image that [`Self::push_small_image`] made.
    ///
    /// # Errors
    /// What crane prints, when it fails.
    pub async fn pull_layer(&self, reference: &str) -> Result<Vec<u8>> {
        let exported = self.home.path().join("exported.tar");
        let path = exported.to_str().context("a temporary path is text")?;
        self.run(&["export", reference, path]).await?;
        let output = Command::new("tar")
            .arg("-xOf")
            .arg(&exported)
            .arg("hello.txt")
            .output()
            .await?;
        ensure!(output.status.success(), "the pulled image has no hello.txt");
        Ok(output.stdout)
    }
}
