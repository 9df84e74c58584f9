//! Paths and what they mean: the one table of the API, read in both directions.
//!
//! Names of repositories contain slashes, so a path is read from its end. Whatever does not parse never reaches a handler.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::registry::{
    Digest, InvalidDigest, InvalidName, InvalidTag, Reference, RepositoryName, UploadId,
};

/// What a path below `/v2/` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v2/`: is this a registry, and may I?
    Ping,
    /// `/v2/_catalog`: all repositories.
    Catalog,
    /// `/v2/<name>/tags/list`.
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<tag or digest>`.
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/<digest>`.
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`: where uploads begin.
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>`.
    Upload(RepositoryName, UploadId),
    /// `/v2/<name>/referrers/<digest>`.
    Referrers(RepositoryName, Digest),
}

/// Why a path is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidPath {
    /// It has not the form of any.
    NotFound,
    /// The name of the repository is none.
    Name(InvalidName),
    /// The digest is none.
    Digest(InvalidDigest),
    /// The tag is none.
    Tag(InvalidTag),
    /// No upload can be called so.
    Upload,
}

impl Endpoint {
    /// Reads what follows `/v2/` in a path, still percent-encoded.
    ///
    /// # Errors
    /// [`InvalidPath`].
    pub fn parse(rest: &str) -> Result<Self, InvalidPath> {
        let rest = percent_decode_str(rest)
            .decode_utf8()
            .map_err(|_| InvalidPath::NotFound)?;
        match rest.as_ref() {
            "" => return Ok(Self::Ping),
            "_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let (front, last) = rest.rsplit_once('/').ok_or(InvalidPath::NotFound)?;
        let (name, noun) = front.rsplit_once('/').ok_or(InvalidPath::NotFound)?;
        match (noun, last) {
            ("tags", "list") => Ok(Self::Tags(repository(name)?)),
            ("manifests", reference) => Ok(Self::Manifest(
                repository(name)?,
                self::reference(reference)?,
            )),
            ("referrers", digest) => Ok(Self::Referrers(
                repository(name)?,
                digest.parse().map_err(InvalidPath::Digest)?,
            )),
            // Some clients leave out the slash at the end.
            ("blobs", "uploads") => Ok(Self::Uploads(repository(name)?)),
            ("blobs", digest) => Ok(Self::Blob(
                repository(name)?,
                digest.parse().map_err(InvalidPath::Digest)?,
            )),
            ("uploads", id) => {
                let name = name.strip_suffix("/blobs").ok_or(InvalidPath::NotFound)?;
                let name = repository(name)?;
                if id.is_empty() {
                    return Ok(Self::Uploads(name));
                }
                Ok(Self::Upload(
                    name,
                    id.parse().map_err(|_| InvalidPath::Upload)?,
                ))
            }
            _ => Err(InvalidPath::NotFound),
        }
    }
}

impl fmt::Display for Endpoint {
    /// The path below `/v2/`. Nothing in it needs to be percent-encoded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => Ok(()),
            Self::Catalog => f.write_str("_catalog"),
            Self::Tags(name) => write!(f, "{name}/tags/list"),
            Self::Manifest(name, reference) => write!(f, "{name}/manifests/{reference}"),
            Self::Blob(name, digest) => write!(f, "{name}/blobs/{digest}"),
            Self::Uploads(name) => write!(f, "{name}/blobs/uploads/"),
            Self::Upload(name, id) => write!(f, "{name}/blobs/uploads/{id}"),
            Self::Referrers(name, digest) => write!(f, "{name}/referrers/{digest}"),
        }
    }
}

fn repository(name: &str) -> Result<RepositoryName, InvalidPath> {
    name.parse().map_err(InvalidPath::Name)
}

fn reference(text: &str) -> Result<Reference, InvalidPath> {
    use crate::registry::InvalidReference;
    text.parse().map_err(|error| match error {
        InvalidReference::Digest { source } => InvalidPath::Digest(source),
        InvalidReference::Tag { source } => InvalidPath::Tag(source),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use rstest::rstest;

    use super::*;
    use crate::registry::Algorithm;

    /// Names that look like parts of paths are among them on purpose.
    fn name() -> impl Strategy<Value = RepositoryName> {
        proptest::collection::vec(
            select(vec![
                "a",
                "blobs",
                "uploads",
                "manifests",
                "tags",
                "list",
                "referrers",
                "v2",
                "x-1_2",
            ]),
            1..5,
        )
        .prop_map(|segments| segments.join("/").parse().unwrap())
    }

    fn digest() -> impl Strategy<Value = Digest> {
        (
            any::<[u8; 4]>(),
            select(vec![Algorithm::Sha256, Algorithm::Sha512]),
        )
            .prop_map(|(bytes, algorithm)| algorithm.digest(&bytes))
    }

    fn tag() -> impl Strategy<Value = Reference> {
        "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,10}|list|uploads|blobs".prop_map(|tag| tag.parse().unwrap())
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        prop_oneof![
            Just(Endpoint::Ping),
            Just(Endpoint::Catalog),
            name().prop_map(Endpoint::Tags),
            (name(), tag()).prop_map(|(name, tag)| Endpoint::Manifest(name, tag)),
            (name(), digest())
                .prop_map(|(name, digest)| Endpoint::Manifest(name, Reference::Digest(digest))),
            (name(), digest()).prop_map(|(name, digest)| Endpoint::Blob(name, digest)),
            name().prop_map(Endpoint::Uploads),
            name().prop_map(|name| Endpoint::Upload(name, UploadId::random())),
            (name(), digest()).prop_map(|(name, digest)| Endpoint::Referrers(name, digest)),
        ]
    }

    proptest! {
        #[test]
        fn every_endpoint_is_read_back_from_its_path(endpoint in endpoint()) {
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }

        #[test]
        fn no_path_breaks_the_parser(path in "[a-z/%.:0-9_-]{0,60}") {
            if let Ok(endpoint) = Endpoint::parse(&path) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }

    #[rstest]
    #[case("..")]
    #[case("../../etc/passwd")]
    #[case("a/../../b/manifests/latest")]
    #[case("%2e%2e/b/manifests/latest")]
    #[case("a%2f..%2f..%2fb/manifests/latest")]
    #[case("a/manifests/..")]
    #[case("a/manifests/%2e%2e%2f%2e%2e")]
    #[case("a/blobs/sha256:../../../../etc/passwd")]
    #[case("a/blobs/uploads/../../../x")]
    #[case("a/blobs/uploads/..")]
    #[case("//manifests/latest")]
    #[case("_uploads/manifests/latest")]
    #[case("a\\b/manifests/latest")]
    #[case("a%00/manifests/latest")]
    #[case("%ff/manifests/latest")]
    fn a_path_that_could_leave_its_place_is_refused(#[case] path: &str) {
        assert!(Endpoint::parse(path).is_err(), "{path:?} was accepted");
    }

    #[test]
    fn a_percent_encoded_colon_is_a_colon() {
        let digest = Algorithm::Sha256.digest(b"");
        let path = format!("a/blobs/sha256%3A{}", digest.hex());
        assert_eq!(
            Endpoint::parse(&path),
            Ok(Endpoint::Blob("a".parse().unwrap(), digest))
        );
    }
}
