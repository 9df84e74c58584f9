//! Every key of the bucket, built in one place. What is committed here is what distribution 2.8 and 3.x write and read.
//!
//! ```text
//! docker/registry/v2/
//! ├── blobs/<algorithm>/<first 2 digits>/<digits>/data            layers, configurations and manifests, as they were sent
//! └── repositories/<name>/
//!     ├── _layers/<algorithm>/<digits>/link                       the repository has this blob
//!     ├── _manifests/
//!     │   ├── revisions/<algorithm>/<digits>/link                 the repository has this manifest
//!     │   └── tags/<tag>/
//!     │       ├── current/link                                    what the tag points at
//!     │       └── index/<algorithm>/<digits>/link                 what it has ever pointed at
//!     ├── _uploads/<uuid>/
//!     │   ├── state                                     (ours)    where an upload stands, and its last bytes
//!     │   └── data                                                multipart upload of what has been received
//!     └── _referrers/<algorithm>/<digits>/<algorithm>/<digits>/link  (ours)    the second manifest names the first as its subject
//! ```
//!
//! A link holds the digest it leads to as text, without a line end. Distribution's walkers pass over directories of a
//! repository that begin with `_` and that they do not know, and over files of an upload other than `startedat` and `data`.
//! Keys are relative to the store's root; a `rootdirectory` is the store's matter.

use crate::{
    registry::{Digest, RepositoryName, Tag, UploadId},
    store::{Key, Prefix},
};

const BLOBS: &str = "docker/registry/v2/blobs";
const REPOSITORIES: &str = "docker/registry/v2/repositories";

/// The "folder" that makes a directory a repository for the catalog.
pub const MANIFESTS_FOLDER: &str = "_manifests";

/// The bytes of a blob.
#[must_use]
pub fn blob_data(digest: &Digest) -> Key {
    let hex = digest.hex();
    let shard: String = hex.chars().take(2).collect();
    key(format!("{BLOBS}/{}/{shard}/{hex}/data", digest.algorithm()))
}

/// Says that the repository has the blob.
#[must_use]
pub fn layer_link(name: &RepositoryName, digest: &Digest) -> Key {
    key(format!(
        "{REPOSITORIES}/{name}/_layers/{}/link",
        path(digest)
    ))
}

/// Says that the repository has the manifest.
#[must_use]
pub fn revision_link(name: &RepositoryName, digest: &Digest) -> Key {
    key(format!(
        "{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/revisions/{}/link",
        path(digest)
    ))
}

/// What the tag points at.
#[must_use]
pub fn tag_current(name: &RepositoryName, tag: &Tag) -> Key {
    key(format!(
        "{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/tags/{tag}/current/link"
    ))
}

/// Says that the tag pointed at the manifest once.
#[must_use]
pub fn tag_index(name: &RepositoryName, tag: &Tag, digest: &Digest) -> Key {
    key(format!(
        "{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/tags/{tag}/index/{}/link",
        path(digest)
    ))
}

/// Where an upload stands.
#[must_use]
pub fn upload_state(name: &RepositoryName, id: UploadId) -> Key {
    key(format!("{REPOSITORIES}/{name}/_uploads/{id}/state"))
}

/// What has been received of an upload, while its digest is unknown.
#[must_use]
pub fn upload_data(name: &RepositoryName, id: UploadId) -> Key {
    key(format!("{REPOSITORIES}/{name}/_uploads/{id}/data"))
}

/// Says that manifest `referrer` names `subject` as its subject.
#[must_use]
pub fn referrer_link(name: &RepositoryName, subject: &Digest, referrer: &Digest) -> Key {
    key(format!(
        "{REPOSITORIES}/{name}/_referrers/{}/{}/link",
        path(subject),
        path(referrer)
    ))
}

/// All manifests that name `subject`.
#[must_use]
pub fn referrers(name: &RepositoryName, subject: &Digest) -> Prefix {
    prefix(format!(
        "{REPOSITORIES}/{name}/_referrers/{}/",
        path(subject)
    ))
}

/// The manifest a key below [`referrers`] stands for; `None` where something foreign lies there.
#[must_use]
pub fn parse_referrer(below: &Prefix, key: &Key) -> Option<Digest> {
    let (algorithm, hex) = key
        .strip_prefix(below)?
        .strip_suffix("/link")?
        .split_once('/')?;
    Digest::new(algorithm.parse().ok()?, hex).ok()
}

/// All manifests and tags of a repository.
#[must_use]
pub fn manifests(name: &RepositoryName) -> Prefix {
    prefix(format!("{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/"))
}

/// All tags of a repository, a folder for each.
#[must_use]
pub fn tags(name: &RepositoryName) -> Prefix {
    prefix(format!("{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/tags/"))
}

/// All that belongs to a tag.
#[must_use]
pub fn tag(name: &RepositoryName, tag: &Tag) -> Prefix {
    prefix(format!(
        "{REPOSITORIES}/{name}/{MANIFESTS_FOLDER}/tags/{tag}/"
    ))
}

/// A directory of repositories: below `segments`, or all of them.
///
/// `None` when the segments cannot be part of a name.
#[must_use]
pub fn directory(segments: &[String]) -> Option<Prefix> {
    let mut path = format!("{REPOSITORIES}/");
    for segment in segments {
        path.push_str(segment);
        path.push('/');
    }
    Prefix::new(path).ok()
}

/// The last segment of a "folder" directly below `parent`, without its slash.
#[must_use]
pub fn folder_name<'a>(parent: &Prefix, folder: &'a Prefix) -> Option<&'a str> {
    folder
        .strip_prefix(parent)?
        .strip_suffix('/')
        .filter(|name| !name.contains('/'))
}

fn path(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.hex())
}

#[expect(
    clippy::expect_used,
    reason = "names, tags and digests are types whose every value makes a key of at most 900 bytes"
)]
fn key(text: String) -> Key {
    Key::new(text).expect("a key of names, tags and digests")
}

#[expect(
    clippy::expect_used,
    reason = "names, tags and digests are types whose every value makes a prefix of at most 900 bytes"
)]
fn prefix(text: String) -> Prefix {
    Prefix::new(text).expect("a prefix of names, tags and digests")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Algorithm;

    const HEX: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn sample() -> (RepositoryName, Tag, Digest) {
        (
            "lib/a".parse().unwrap(),
            "v1".parse().unwrap(),
            Digest::new(Algorithm::Sha256, HEX).unwrap(),
        )
    }

    /// Another server reads these: a change here loses every image of every user.
    #[test]
    fn the_keys_are_those_of_distribution() {
        let (name, tag, digest) = sample();
        let keys = [
            blob_data(&digest),
            layer_link(&name, &digest),
            revision_link(&name, &digest),
            tag_current(&name, &tag),
            tag_index(&name, &tag, &digest),
        ];
        let root = "docker/registry/v2";
        assert_eq!(
            keys.map(|key| key.to_string()),
            [
                format!("{root}/blobs/sha256/44/{HEX}/data"),
                format!("{root}/repositories/lib/a/_layers/sha256/{HEX}/link"),
                format!("{root}/repositories/lib/a/_manifests/revisions/sha256/{HEX}/link"),
                format!("{root}/repositories/lib/a/_manifests/tags/v1/current/link"),
                format!("{root}/repositories/lib/a/_manifests/tags/v1/index/sha256/{HEX}/link"),
            ]
        );
    }

    #[test]
    fn the_longest_names_still_make_a_key() {
        let name: RepositoryName = "a".repeat(255).parse().unwrap();
        let tag: Tag = "b".repeat(128).parse().unwrap();
        let digest = Algorithm::Sha512.digest(b"");
        for key in [
            tag_index(&name, &tag, &digest),
            referrer_link(&name, &digest, &digest),
        ] {
            assert!(key.as_str().len() < 1024, "{key}");
        }
    }

    #[test]
    fn a_referrer_is_read_back_from_its_key() {
        let (name, _, digest) = sample();
        let referrer = Algorithm::Sha512.digest(b"signature");
        let key = referrer_link(&name, &digest, &referrer);
        assert_eq!(
            parse_referrer(&referrers(&name, &digest), &key),
            Some(referrer.clone())
        );
        assert_eq!(parse_referrer(&referrers(&name, &referrer), &key), None);
    }

    #[test]
    fn a_folder_is_named_relative_to_its_parent() {
        let (name, tag_name, _) = sample();
        assert_eq!(
            folder_name(&tags(&name), &tag(&name, &tag_name)),
            Some("v1")
        );
        assert_eq!(folder_name(&manifests(&name), &tag(&name, &tag_name)), None);
    }
}
