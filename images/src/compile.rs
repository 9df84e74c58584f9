//! Makes the static program of an image with cargo, and proves that it is static.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use object::{
    Endianness,
    elf::{FileHeader64, PT_INTERP},
    read::elf::{FileHeader, ProgramHeader},
};
use serde::Deserialize;

use crate::{contents::Image, platform::Platform};

/// The folder of the workspace that the caller is in.
///
/// # Errors
/// When cargo cannot be run, or the working directory is in no workspace.
pub fn workspace_root() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let manifest = PathBuf::from(stdout_of(cargo)?.trim_end());
    let root = manifest
        .parent()
        .context("failed to find the folder of the workspace")?;
    Ok(root.to_owned())
}

/// Compiles the image's program in the workspace at `root` with this cargo profile; yields where it lies.
///
/// # Errors
/// When compiling fails, or cargo names no such program.
pub fn compile(root: &Path, image: Image, platform: Platform, profile: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    let target = platform.target();
    let flags_of_target = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.to_uppercase().replace('-', "_")
    );
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(["--profile", profile])
        // All of them whichever is asked for: cargo unites the features of what it builds together, so that one after the other
        // would compile most dependencies twice, and an image would depend on what it was built with.
        .args(Image::ALL.map(|image| format!("--package={}", image.package())))
        .args(Image::ALL.map(|image| format!("--bin={}", image.binary())))
        // With a target, even if it is this machine's, the flags reach the program only: procedural macros and build
        // scripts cannot be static.
        .args(["--target", target])
        // Either of these would win over the flags of the target.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(flags_of_target, "-C target-feature=+crt-static");
    let messages = stdout_of(cargo)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.target.name == image.binary())
        .find_map(|artifact| artifact.executable)
        .with_context(|| {
            format!(
                "failed to find the program {} in the output of cargo build",
                image.binary()
            )
        })
}

/// The part of cargo's `compiler-artifact` message that is needed; other messages do not parse as this.
#[derive(Deserialize)]
struct Artifact {
    target: ArtifactTarget,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
}

fn stdout_of(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to run {command:?}"))?;
    ensure!(
        output.status.success(),
        "failed to run {command:?}: {}",
        output.status
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("failed to read the output of {command:?}"))
}

/// Fails unless `binary` is a 64-bit ELF program that needs no dynamic loader: an image without one could not start it.
///
/// # Errors
/// When it is not, naming what it asks for.
pub fn ensure_static(binary: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(binary)
        .context("failed to read the program: not 64-bit ELF")?;
    let endian = header
        .endian()
        .context("failed to read the program's byte order")?;
    let segments = header
        .program_headers(endian, binary)
        .context("failed to read the program's segments")?;
    for segment in segments {
        // A position-independent static program has a dynamic section; only a loader makes it dynamic.
        if segment.p_type(endian) == PT_INTERP {
            let loader = segment.data(endian, binary).unwrap_or_default();
            let loader = String::from_utf8_lossy(loader);
            bail!(
                "failed to accept the program: it is linked dynamically and asks for {}",
                loader.trim_end_matches('\0')
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_refused_by_the_name_of_its_loader() {
        // The test itself: built for the host without crt-static.
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = ensure_static(&this).unwrap_err().to_string();
        assert!(
            error.contains("linked dynamically") && error.contains("ld-linux"),
            "{error}"
        );
    }

    #[test]
    fn a_static_program_is_accepted() {
        // A header for 64-bit little-endian and no segment at all, so none that names a loader.
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(64, 0);
        ensure_static(&program).unwrap();
    }

    #[test]
    fn a_script_is_no_program_for_an_image() {
        let error = ensure_static(b"#!/bin/sh\n").unwrap_err().to_string();
        assert_eq!(error, "failed to read the program: not 64-bit ELF");
    }
}
