//! The platform that images are built for: the one of this machine.

use anyhow::{Result, bail};

/// A CPU that images are built for. The operating system is always Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Platform {
    /// The platform of the machine that this program was compiled for.
    ///
    /// # Errors
    /// On anything but Linux on `x86_64` or `aarch64`: a static binary for them cannot be linked here without a cross
    /// linker.
    pub fn host() -> Result<Self> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Ok(Self::Amd64),
            ("linux", "aarch64") => Ok(Self::Arm64),
            (os, arch) => bail!(
                "failed to choose a target for {os} on {arch}: images are built on Linux, x86_64 or aarch64; \
                 elsewhere use the Containerfiles in images/"
            ),
        }
    }

    /// The name of the compiler's target. glibc, linked statically: unlike musl's, its allocator and its resolver do not
    /// have to be worked around, and the compiler for it is on every machine that has Rust.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The value of `architecture` in an image's configuration (OCI image specification, config.md; a `GOARCH`).
    #[must_use]
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}
