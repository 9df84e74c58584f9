//! Referrers: the manifests that name another one as their subject, such as signatures.
//!
//! Each has a link, under a key that distribution passes over. What a client that knew no referrers API has written down in
//! the fallback tag instead (OCI distribution specification, "Referrers Tag Schema") is listed as well.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::{
    Digest, Listing, Reference, Registry, RepositoryName, StoredManifest, Tag,
    error::{Error, Result},
};
use crate::{layout, store::ListMode};

/// How many manifests are read at once.
const CONCURRENT_READS: usize = 8;

impl Registry {
    /// At most `limit` descriptors of manifests about `subject`, those after `last`, in the order of their digests, of one
    /// `artifact_type` if it is given; fewer where a manifest has been removed or the type does not fit.
    /// The second value is the digest of the last one looked at, to go on from.
    ///
    /// # Errors
    /// Those of the store. That nothing is there is an empty list.
    pub async fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<(Listing<Value>, Option<Digest>)> {
        let mut candidates: BTreeMap<Digest, Option<Value>> = self.fallback(name, subject).await?;
        for digest in self
            .linked(name, subject, last, limit.saturating_add(1))
            .await?
        {
            candidates.insert(digest, None);
        }
        let after: Vec<_> = candidates
            .into_iter()
            .filter(|(digest, _)| last.is_none_or(|last| digest > last))
            .collect();
        let page = Listing::cut(after, limit);
        let reached = page.items.last().map(|(digest, _)| digest.clone());
        let described: Vec<Option<Value>> = stream::iter(page.items)
            .map(|(digest, known)| self.describe(name, digest, known).boxed())
            .buffered(CONCURRENT_READS)
            .try_collect()
            .await?;
        let fits = |descriptor: &Value| {
            artifact_type.is_none_or(|wanted| {
                descriptor.get("artifactType").and_then(Value::as_str) == Some(wanted)
            })
        };
        let items = described.into_iter().flatten().filter(fits).collect();
        Ok((
            Listing {
                items,
                more: page.more,
            },
            reached,
        ))
    }

    /// The manifests that have a link, in the order of their digests.
    async fn linked(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let folder = layout::referrers(name, subject);
        let mut after = last.map(|last| layout::referrer_link(name, subject, last).to_string());
        let mut found = Vec::new();
        loop {
            let page = self
                .store()
                .list(&folder, ListMode::Deep, after.as_deref(), limit)
                .await?;
            found.extend(
                page.objects
                    .iter()
                    .filter_map(|object| layout::parse_referrer(&folder, &object.key)),
            );
            after = page.next;
            if after.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// What the fallback tag lists.
    async fn fallback(
        &self,
        name: &RepositoryName,
        subject: &Digest,
    ) -> Result<BTreeMap<Digest, Option<Value>>> {
        let index = match self
            .manifest(name, &Reference::Tag(Tag::of_referrers(subject)))
            .await
        {
            Ok(index) => index,
            Err(Error::ManifestUnknown { .. } | Error::ManifestInvalid { .. }) => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(error),
        };
        let document: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
        let descriptors = document
            .get("manifests")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        Ok(descriptors
            .into_iter()
            .filter_map(|descriptor| {
                let digest = descriptor.get("digest")?.as_str()?.parse().ok()?;
                Some((digest, Some(descriptor)))
            })
            .collect())
    }

    /// The descriptor of a referrer; `None` when it has been removed by a server that knows nothing of referrers.
    async fn describe(
        &self,
        name: &RepositoryName,
        digest: Digest,
        known: Option<Value>,
    ) -> Result<Option<Value>> {
        match self.manifest(name, &Reference::Digest(digest)).await {
            Ok(stored) => Ok(Some(descriptor(&stored))),
            Err(Error::ManifestUnknown { .. } | Error::ManifestInvalid { .. }) => Ok(known),
            Err(error) => Err(error),
        }
    }
}

fn descriptor(stored: &StoredManifest) -> Value {
    let mut descriptor = json!({
        "mediaType": stored.manifest.media_type.as_str(),
        "digest": stored.digest,
        "size": stored.bytes.len(),
    });
    if let Value::Object(members) = &mut descriptor {
        if let Some(artifact_type) = &stored.manifest.artifact_type {
            members.insert("artifactType".to_owned(), json!(artifact_type));
        }
        if !stored.manifest.annotations.is_empty() {
            members.insert("annotations".to_owned(), json!(stored.manifest.annotations));
        }
    }
    descriptor
}
