//! Which registry of this cluster may use which bucket. Pure.
//!
//! Two registries in one bucket are fine as long as neither prefix lies in the other. Otherwise the older one has it.

use jiff::Timestamp;
use kube::ResourceExt;
use moorage_crds::ContainerRegistry;

use crate::aws::{ClusterId, KeyPrefix, Owner};

/// That a registry wants a part of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub owner: Owner,
    /// Since when.
    pub created: Timestamp,
    /// Which store, when it is not AWS.
    pub endpoint: Option<String>,
    /// Which bucket.
    pub bucket: String,
    /// Which part of it.
    pub prefix: KeyPrefix,
}

impl Claim {
    /// What this registry wants; `None` when it has no uid or its prefix is none, and it can want nothing.
    #[must_use]
    pub fn of(registry: &ContainerRegistry, cluster: &ClusterId) -> Option<Self> {
        let owner = Owner {
            cluster: cluster.clone(),
            namespace: registry.namespace()?,
            name: registry.name_any(),
            uid: registry.uid()?,
        };
        let s3 = registry.spec.storage.as_ref().map(|storage| &storage.s3);
        let bucket = s3
            .and_then(|s3| s3.bucket.clone())
            .unwrap_or_else(|| owner.bucket_name().to_string());
        let prefix = s3
            .and_then(|s3| s3.prefix.as_deref())
            .unwrap_or_default()
            .parse()
            .ok()?;
        let endpoint = s3
            .and_then(|s3| s3.endpoint.as_deref())
            .map(|url| url.trim_end_matches('/').to_owned());
        let created = registry
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Some(Self {
            owner,
            created,
            endpoint,
            bucket,
            prefix,
        })
    }

    fn is_same_bucket(&self, other: &Self) -> bool {
        self.bucket == other.bucket && self.endpoint == other.endpoint
    }

    /// A total order that every replica of the operator, and every restart, sees alike.
    fn is_older(&self, other: &Self) -> bool {
        (self.created, &self.owner.uid) < (other.created, &other.owner.uid)
    }
}

/// How a claim stands among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The older registry that has what is wanted.
    pub lost_to: Option<Claim>,
    /// Registries that use other parts of the same bucket.
    pub shares_with: Vec<Owner>,
}

/// The claims on the bucket of `claim`. At a thousand registries each reconcile looks at all of them, so the derived name of another
/// one, which takes a hash, is made only where somebody has chosen a name that looks like one.
#[must_use]
pub fn on_the_bucket_of<'a>(
    claim: &Claim,
    registries: impl Iterator<Item = &'a ContainerRegistry>,
    cluster: &ClusterId,
) -> Vec<Claim> {
    let could_be_derived_by_another =
        claim.bucket.starts_with("moorage-") && claim.bucket != claim.owner.bucket_name().as_str();
    registries
        .filter(|one| {
            let storage = one.spec.storage.as_ref();
            storage
                .and_then(|storage| storage.s3.bucket.as_ref())
                .map_or(could_be_derived_by_another, |bucket| {
                    *bucket == claim.bucket
                })
        })
        .filter_map(|one| Claim::of(one, cluster))
        .filter(|other| other.is_same_bucket(claim))
        .collect()
}

/// How `claim` stands among `all`, which may contain it.
#[must_use]
pub fn standing(claim: &Claim, all: impl IntoIterator<Item = Claim>) -> Standing {
    let mut standing = Standing::default();
    for other in all
        .into_iter()
        .filter(|other| other.owner.uid != claim.owner.uid && other.is_same_bucket(claim))
    {
        if !other.prefix.overlaps(&claim.prefix) {
            standing.shares_with.push(other.owner);
        } else if other.is_older(claim)
            && standing
                .lost_to
                .as_ref()
                .is_none_or(|lost_to| other.is_older(lost_to))
        {
            standing.lost_to = Some(other);
        }
    }
    standing.shares_with.sort();
    standing
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn claim(uid: &str, created: i64, prefix: &str) -> Claim {
        Claim {
            owner: Owner {
                cluster: "test".parse().expect("a cluster id"),
                namespace: "registries".to_owned(),
                name: format!("name-of-{uid}"),
                uid: uid.to_owned(),
            },
            created: Timestamp::from_second(created).expect("a time"),
            endpoint: None,
            bucket: "acme-images".to_owned(),
            prefix: prefix.parse().expect("a prefix"),
        }
    }

    /// One that names none, one that chose the derived name of the first, and one beside them.
    #[test]
    fn a_derived_name_and_the_same_name_chosen_by_another_meet() {
        let cluster: ClusterId = "test".parse().expect("a cluster id");
        let registry = |uid: &str, bucket: Option<&str>| {
            let mut registry =
                ContainerRegistry::new(uid, moorage_crds::ContainerRegistrySpec::default());
            registry.metadata.namespace = Some("registries".to_owned());
            registry.metadata.uid = Some(uid.to_owned());
            registry.spec.storage = bucket.map(|bucket| {
                let mut storage = moorage_crds::StorageSpec::default();
                storage.s3.bucket = Some(bucket.to_owned());
                storage
            });
            registry
        };
        let claim = |registry: &ContainerRegistry| Claim::of(registry, &cluster).expect("a claim");
        let derives = registry("derives", None);
        let chooses = registry("chooses", Some(&claim(&derives).bucket));
        let all = [
            derives.clone(),
            chooses.clone(),
            registry("beside", None),
            registry("apart", Some("apart")),
        ];
        for (one, other) in [(&derives, &chooses), (&chooses, &derives)] {
            let mut found = on_the_bucket_of(&claim(one), all.iter(), &cluster);
            found.retain(|found| *found != claim(one));
            assert_eq!(found, [claim(other)]);
        }
    }

    #[rstest]
    #[case::same("", "")]
    #[case::whole_bucket_and_a_part("", "team-a")]
    #[case::nested("team-a/images", "team-a")]
    fn the_older_of_two_that_overlap_has_the_bucket(#[case] older: &str, #[case] younger: &str) {
        let (older, younger) = (claim("z", 1, older), claim("a", 2, younger));
        let all = [younger.clone(), older.clone()];
        assert_eq!(standing(&younger, all.clone()).lost_to, Some(older.clone()));
        assert_eq!(standing(&older, all), Standing::default());
    }

    #[test]
    fn of_two_of_the_same_second_the_lower_uid_has_the_bucket() {
        let (a, b) = (claim("a", 1, ""), claim("b", 1, ""));
        assert_eq!(standing(&a, [a.clone(), b.clone()]).lost_to, None);
        assert_eq!(standing(&b, [a.clone(), b.clone()]).lost_to, Some(a));
    }

    #[test]
    fn different_folders_of_one_bucket_are_shared() {
        let (a, b) = (claim("a", 1, "team-a"), claim("b", 2, "team-ab"));
        let seen = standing(&b, [a.clone(), b.clone()]);
        assert_eq!(
            seen,
            Standing {
                lost_to: None,
                shares_with: vec![a.owner]
            }
        );
    }

    #[test]
    fn the_same_name_in_another_store_is_another_bucket() {
        let other = Claim {
            endpoint: Some("https://minio.example.com".to_owned()),
            ..claim("a", 1, "")
        };
        assert_eq!(standing(&claim("b", 2, ""), [other]), Standing::default());
    }
}
