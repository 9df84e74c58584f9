//! What can go wrong when a registry is used, in the registry's own words. Which status a client is answered is `http`'s matter.

use snafu::Snafu;

use super::{Digest, Reference, RepositoryName, body::BodyError, manifest::InvalidManifest};
use crate::store;

/// A result whose error is the registry's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a registry that failed.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum Error {
    /// The repository has no such blob.
    #[snafu(display("the repository has no blob {digest}"))]
    BlobUnknown {
        /// Which one was asked for.
        digest: Digest,
    },
    /// The repository has no such manifest.
    #[snafu(display("the repository has no manifest {reference}"))]
    ManifestUnknown {
        /// What was asked for.
        reference: Reference,
    },
    /// There is no such repository.
    #[snafu(display("there is no repository {name}"))]
    NameUnknown {
        /// Which one was asked for.
        name: RepositoryName,
    },
    /// The repository has no such upload: it was never begun here, or has been finished or cancelled.
    #[snafu(display("the repository has no such upload"))]
    UploadUnknown,
    /// Two clients wrote to one upload, and what has been received of it can no longer be put together. It has been dropped.
    #[snafu(display("two clients have written to the upload at once, begin a new one"))]
    UploadSpoiled,
    /// The bytes do not continue the upload where it stands.
    #[snafu(display("the upload stands at byte {offset}"))]
    OutOfOrder {
        /// How many bytes the registry has.
        offset: u64,
    },
    /// More bytes than the store can take as one object with its parts.
    #[snafu(display(
        "the blob is larger than {limit} bytes, the most the store takes in parts of this size"
    ))]
    BlobTooLarge {
        /// The most there can be, in bytes.
        limit: u64,
    },
    /// As many bytes were announced as were not sent.
    #[snafu(display("{announced} bytes were announced and {received} received"))]
    SizeMismatch {
        /// By the client, in bytes.
        announced: u64,
        /// In bytes.
        received: u64,
    },
    /// The content is not what its digest says.
    #[snafu(display("the content has the digest {actual}, not {claimed}"))]
    DigestMismatch {
        /// What the client said.
        claimed: Digest,
        /// What was received.
        actual: Digest,
    },
    /// The manifest cannot be taken.
    #[snafu(context(false), display("{source}"))]
    ManifestInvalid {
        /// What is wrong with it.
        source: InvalidManifest,
    },
    /// The manifest names blobs or manifests that the repository does not have.
    #[snafu(display("the repository lacks {} of what the manifest names", digests.len()))]
    ManifestBlobUnknown {
        /// All of them.
        digests: Vec<Digest>,
    },
    /// The client's body broke off.
    #[snafu(display("failed to receive the body"))]
    Body {
        /// How.
        source: BodyError,
    },
    /// The store failed.
    #[snafu(context(false), display("{source}"))]
    Store {
        /// How.
        source: store::Error,
    },
    /// The store holds something that we did not write and cannot read.
    #[snafu(display("{object:?} in the store is damaged: {reason}"))]
    Corrupt {
        /// The key.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A task of ours ended before its time.
    #[snafu(display("an operation was stopped half way"))]
    Interrupted,
}
