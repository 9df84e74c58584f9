//! `storage`: where the data is, and what may be done with it. Exactly one driver.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        reader::{Reader, Show},
        schema,
    },
    store::s3::S3Config,
};

mod s3;

/// Entries of the section that are not drivers.
const NOT_DRIVERS: [&str; 5] = ["cache", "delete", "maintenance", "redirect", "tag"];

/// Section `storage`.
#[derive(Debug)]
pub struct Storage {
    /// Where objects are kept.
    pub driver: Driver,
    /// `storage.delete.enabled`: whether manifests, tags and blobs can be deleted. Default false, as in distribution.
    pub delete: bool,
    /// Whether reads of blobs are sent to the store itself: `storage.redirect.disable`, the other way round.
    pub redirect: bool,
    /// `storage.maintenance.readonly.enabled`: pushes and deletes are refused.
    pub read_only: bool,
}

/// Where objects are kept.
#[derive(Debug)]
pub enum Driver {
    /// A folder.
    Filesystem {
        /// `rootdirectory`.
        root: PathBuf,
    },
    /// The memory of the process. Gone when it ends.
    Memory,
    /// A bucket.
    S3(Box<S3Config>),
}

pub(super) fn read(reader: &mut Reader<'_>, data: &Path) -> Option<Storage> {
    let redirect = !reader.flag("storage.redirect.disable", false);
    let driver = driver(reader, data, redirect);
    cache(reader);
    if reader.flag("storage.maintenance.uploadpurging.enabled", false) {
        reader.warn(
            "storage.maintenance.uploadpurging.enabled",
            format!("without effect: {}", schema::PURGING),
        );
    }
    let delete = reader.flag("storage.delete.enabled", false);
    let read_only = reader.flag("storage.maintenance.readonly.enabled", false);
    Some(Storage {
        driver: driver?,
        delete,
        redirect,
        read_only,
    })
}

fn cache(reader: &mut Reader<'_>) {
    for key in ["storage.cache.blobdescriptor", "storage.cache.layerinfo"] {
        reader.parsed(key, Show::Plainly, |text| match text {
            "inmemory" => Ok(()),
            "redis" => Err(
                "a cache in Redis is not supported: `inmemory` is what every replica uses"
                    .to_owned(),
            ),
            _ => Err(format!(
                "there is no cache {text:?}: `inmemory` is supported"
            )),
        });
    }
}

fn driver(reader: &mut Reader<'_>, data: &Path, redirect: bool) -> Option<Driver> {
    let mut names = reader.names("storage");
    names.retain(|name| !NOT_DRIVERS.contains(&name.as_str()));
    match names.as_slice() {
        [] => Some(filesystem(reader, data)),
        [name] => match name.as_str() {
            "filesystem" => Some(filesystem(reader, data)),
            "inmemory" => {
                reader.note("storage.inmemory", "{}");
                Some(Driver::Memory)
            }
            "s3" => s3::read(reader, redirect).map(|s3| Driver::S3(Box::new(s3))),
            "azure" | "gcs" | "swift" | "oss" => {
                // With parameters it has been refused by key. Without any it would have passed unseen.
                let path = format!("storage.{name}");
                if reader.node(&path).is_none() {
                    reader.problem(&path, schema::refusal(&path));
                }
                None
            }
            _ => {
                reader.problem(
                    "storage",
                    format!("there is no storage driver {name:?}: `s3`, `filesystem` and `inmemory` are supported"),
                );
                None
            }
        },
        several => {
            let several: Vec<_> = several
                .iter()
                .map(|name| format!("{name} ({})", reader.origin(&format!("storage.{name}"))))
                .collect();
            reader.problem(
                "storage",
                format!(
                    "one driver is possible, and there are {}: {}. Setting REGISTRY_STORAGE to a driver's name drops the others",
                    several.len(),
                    several.join(", ")
                ),
            );
            None
        }
    }
}

fn filesystem(reader: &mut Reader<'_>, data: &Path) -> Driver {
    let path = "storage.filesystem.rootdirectory";
    let root = reader.parsed_or(path, data.to_owned(), data.display(), |text| match text {
        "" => Err("is empty: name a folder".to_owned()),
        text => Ok(PathBuf::from(text)),
    });
    Driver::Filesystem { root }
}
