//! Listing a tree of files as if it were a sorted list of keys.
//!
//! A folder is sorted among its siblings with the `/` that its keys have there: `a-b` is before `a/b`, which is before
//! `a0`. So the tree, walked depth first, is the list. In memory there are the names of one folder for each level, not
//! the tree.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{
    super::{Key, ListMode, Listed, ObjectMeta, Page, Prefix},
    tree::{PRIVATE, Tree, object},
};

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

struct Walk<'a> {
    prefix: &'a str,
    mode: ListMode,
    after: &'a str,
    limit: usize,
    page: Page,
    last: String,
}

enum Flow {
    Continue,
    PageIsFull,
}

pub(super) fn list(
    tree: &Tree,
    prefix: &Prefix,
    mode: ListMode,
    after: &str,
    limit: usize,
) -> io::Result<Page> {
    let prefix = prefix.as_str();
    let path = prefix
        .rfind('/')
        .and_then(|slash| prefix.get(..=slash))
        .unwrap_or_default();
    let mut walk = Walk {
        prefix,
        mode,
        after,
        limit,
        page: Page::default(),
        last: String::new(),
    };
    match tree.folder(path) {
        Ok(folder) if !path.starts_with(&format!("{PRIVATE}/")) => walk.visit(&folder, path)?,
        Ok(_) => Flow::Continue,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Flow::Continue
        }
        Err(error) => return Err(error),
    };
    Ok(walk.page)
}

impl Walk<'_> {
    /// Goes through what is in `folder`, whose path (empty or with `/` at its end) is `path`.
    fn visit(&mut self, folder: &OwnedFd, path: &str) -> io::Result<Flow> {
        let mut names = names(folder, path)?;
        names.retain(|name| self.wants(&format!("{path}{name}")));
        names.sort_unstable();
        for name in names {
            let full = format!("{path}{name}");
            let flow = match name.strip_suffix('/') {
                None => self.file(folder, &name, full)?,
                Some(name) => match openat(folder, name, FOLDER, Mode::empty()) {
                    Ok(below) if self.mode == ListMode::Deep => self.visit(&below, &full)?,
                    Ok(below) => self.folder(&below, full)?,
                    // Removed since we read its name.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Flow::Continue,
                    Err(error) => return Err(error.into()),
                },
            };
            if let Flow::PageIsFull = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue)
    }

    /// Whether a file, or something in a folder (with `/` at its end), may belong on the page.
    fn wants(&self, full: &str) -> bool {
        let later = full > self.after
            || (self.mode == ListMode::Deep && full.ends_with('/') && self.after.starts_with(full));
        full.starts_with(self.prefix) && later
    }

    fn file(&mut self, folder: &OwnedFd, name: &str, full: String) -> io::Result<Flow> {
        let meta = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => object(&stat),
            Err(Errno::NOENT) => return Ok(Flow::Continue),
            Err(error) => return Err(error.into()),
        };
        // Another program's file, whose name no key can have, is none of our objects.
        let (
            Ok(ObjectMeta {
                size,
                last_modified,
                ..
            }),
            Ok(key),
        ) = (meta, Key::new(full))
        else {
            return Ok(Flow::Continue);
        };
        if self.is_full() {
            return Ok(Flow::PageIsFull);
        }
        self.last = key.to_string();
        self.page.objects.push(Listed {
            key,
            size,
            last_modified,
        });
        Ok(Flow::Continue)
    }

    fn folder(&mut self, below: &OwnedFd, full: String) -> io::Result<Flow> {
        if !has_object(below, &full)? {
            return Ok(Flow::Continue);
        }
        let Ok(folder) = Prefix::new(full) else {
            return Ok(Flow::Continue);
        };
        if self.is_full() {
            return Ok(Flow::PageIsFull);
        }
        self.last = folder.to_string();
        self.page.folders.push(folder);
        Ok(Flow::Continue)
    }

    /// Asked when there is one more: then the page goes on after the last that is on it.
    fn is_full(&mut self) -> bool {
        let full = self.page.objects.len() + self.page.folders.len() == self.limit;
        if full {
            self.page.next = Some(std::mem::take(&mut self.last));
        }
        full
    }
}

/// The names of the files and, with `/` at their end, of the folders in `folder`.
fn names(folder: &OwnedFd, path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = match entry {
            Ok(entry) => entry,
            // The folder itself was removed.
            Err(Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        };
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name == "." || name == ".." || (path.is_empty() && name == PRIVATE) {
            continue;
        }
        let file_type = match entry.file_type() {
            FileType::Unknown => match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(_) => continue,
            },
            known => known,
        };
        match file_type {
            FileType::RegularFile => names.push(name.to_owned()),
            FileType::Directory => names.push(format!("{name}/")),
            _ => {}
        }
    }
    Ok(names)
}

/// Whether any object is below: folders that are left over empty are not to be seen.
fn has_object(folder: &OwnedFd, path: &str) -> io::Result<bool> {
    let names = names(folder, path)?;
    if names
        .iter()
        .any(|name| !name.ends_with('/') && Key::new(format!("{path}{name}")).is_ok())
    {
        return Ok(true);
    }
    for name in names.iter().filter_map(|name| name.strip_suffix('/')) {
        match openat(folder, name, FOLDER, Mode::empty()) {
            Ok(below) if has_object(&below, &format!("{path}{name}/"))? => return Ok(true),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}
