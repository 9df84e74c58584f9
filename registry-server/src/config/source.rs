//! Where a configuration comes from: which file it is, and its text. What the text says is not looked at.

use std::path::Path;

use snafu::ResultExt;

use super::{Environment, Error, ReadSnafu, TooLargeSnafu, env};

/// Largest configuration file that is read, in bytes. A real one has a few kilobytes.
pub(super) const MAX_FILE: u64 = 1024 * 1024;

/// A configuration as text, with the name to call it by in messages.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

impl Source {
    /// A text that is at hand.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Read`], also for what is not UTF-8; [`Error::TooLarge`] above 1 MiB.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let size = std::fs::metadata(path)
            .with_context(|_| ReadSnafu { path: &name })?
            .len();
        snafu::ensure!(size <= MAX_FILE, TooLargeSnafu { path: &name });
        let text = std::fs::read_to_string(path).with_context(|_| ReadSnafu { path: &name })?;
        Ok(Self { name, text })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Finds the configuration: the path of the command line, else `REGISTRY_CONFIGURATION_PATH`, else the first of `usual` that is
/// there. `None` when nobody names one and none is there: the server's defaults then hold.
///
/// # Errors
/// As [`Source::read`]: a file that somebody named must be there.
pub fn find(
    named: Option<&Path>,
    environment: &Environment,
    usual: &[&str],
) -> Result<Option<Source>, Error> {
    let variable = environment
        .get(env::PATH_VARIABLE)
        .filter(|path| !path.is_empty())
        .map(Path::new);
    if let Some(path) = named.or(variable) {
        return Source::read(path).map(Some);
    }
    usual
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .map(Source::read)
        .transpose()
}
