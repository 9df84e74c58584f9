//! What an error of the operating system means to a caller of a store.

use std::io;

use super::super::{Error, Kind};

/// For calls that only read.
pub(super) fn reading(
    operation: &'static str,
    object: impl AsRef<str>,
) -> impl Fn(io::Error) -> Error {
    move |source| error("read", operation, object.as_ref(), source)
}

/// For calls that change something.
pub(super) fn writing(
    operation: &'static str,
    object: impl AsRef<str>,
) -> impl Fn(io::Error) -> Error {
    move |source| error("write", operation, object.as_ref(), source)
}

/// For the root itself: that it is missing or something else is not the answer to a question but a mistake.
pub(super) fn at_start(root: &str) -> impl Fn(io::Error) -> Error {
    move |source| match kind("write", &source) {
        _ if source.kind() == io::ErrorKind::AlreadyExists => {
            Error::new(Kind::Misconfigured, "use the folder", root).because(source)
        }
        Kind::NotFound | Kind::Other => {
            Error::new(Kind::Misconfigured, "use the folder", root).because(source)
        }
        kind => Error::new(kind, "use the folder", root).because(source),
    }
}

fn error(action: &'static str, operation: &'static str, object: &str, source: io::Error) -> Error {
    Error::new(kind(action, &source), operation, object).because(source)
}

fn kind(action: &'static str, error: &io::Error) -> Kind {
    match error.kind() {
        // A folder on the way that is a file: below a file there is nothing.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::NotFound,
        io::ErrorKind::PermissionDenied => Kind::Denied { action },
        io::ErrorKind::ReadOnlyFilesystem => Kind::Denied { action: "write" },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Kind::Full
        }
        io::ErrorKind::TimedOut => Kind::Timeout,
        io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::CrossesDevices
        | io::ErrorKind::Unsupported => Kind::Other,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use rustix::io::Errno;

    use super::*;

    #[rstest]
    #[case::missing(Errno::NOENT, Kind::NotFound)]
    #[case::below_a_file(Errno::NOTDIR, Kind::NotFound)]
    #[case::no_permission(Errno::ACCESS, Kind::Denied { action: "write" })]
    #[case::read_only(Errno::ROFS, Kind::Denied { action: "write" })]
    #[case::full_disk(Errno::NOSPC, Kind::Full)]
    #[case::quota(Errno::DQUOT, Kind::Full)]
    #[case::long_name(Errno::NAMETOOLONG, Kind::Other)]
    #[case::broken_disk(Errno::IO, Kind::Unavailable)]
    #[case::no_descriptors(Errno::MFILE, Kind::Unavailable)]
    fn an_errno_tells_the_caller_what_to_do(#[case] errno: Errno, #[case] kind: Kind) {
        assert_eq!(writing("write", "a/b")(errno.into()).kind(), &kind);
    }
}
