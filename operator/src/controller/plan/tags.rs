//! The part of the plan that is about the tags of a bucket: those of ownership, those of the spec, and one that tells which tags the
//! spec had. By that one a tag that has left the spec is known from a tag of somebody else.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::aws::{Desired, desired::TAG_SPEC_TAGS};

/// Hexadecimal digits that stand for one key. Of 40 keys and a foreign one, two are alike once in 400,000 buckets.
const DIGITS: usize = 6;
const _: () = assert!(
    40 * DIGITS <= 256,
    "the marks of forty tags fit into one value"
);

/// The tags that the bucket is to have. Those of ownership win over those of the spec.
pub(super) fn wanted(want: &Desired) -> BTreeMap<String, String> {
    let mut tags = want.bucket.tags.clone();
    if !tags.is_empty() {
        let marks: String = tags.keys().map(|key| mark(key)).collect();
        tags.insert(TAG_SPEC_TAGS.to_owned(), marks);
    }
    tags.extend(want.owner.tags());
    tags
}

/// The keys of tags that an earlier spec put on, and this one does not want.
pub(super) fn left_over(
    have: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let Some(marks) = have.get(TAG_SPEC_TAGS) else {
        return BTreeSet::new();
    };
    let was_ours = |key: &str| {
        key == TAG_SPEC_TAGS
            || marks
                .as_bytes()
                .chunks(DIGITS)
                .any(|one| one == mark(key).as_bytes())
    };
    have.keys()
        .filter(|key| !wanted.contains_key(*key) && was_ours(key))
        .cloned()
        .collect()
}

fn mark(key: &str) -> String {
    let mut mark = hex::encode(Sha256::digest(key));
    mark.truncate(DIGITS);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = all
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        all.collect()
    }

    #[test]
    fn only_what_an_earlier_spec_put_on_is_left_over() {
        let marks = format!("{}{}", mark("cost-centre"), mark("team"));
        let have = tags(&[
            ("cost-centre", "42"),
            ("team", "a"),
            ("backup", "daily"),
            (TAG_SPEC_TAGS, &marks),
        ]);
        let wanted = tags(&[("team", "b"), (TAG_SPEC_TAGS, &mark("team"))]);
        let left = left_over(&have, &wanted);
        assert_eq!(left.iter().collect::<Vec<_>>(), ["cost-centre"]);
        let left = left_over(&have, &BTreeMap::new());
        assert_eq!(
            left.iter().collect::<Vec<_>>(),
            ["cost-centre", TAG_SPEC_TAGS, "team"]
        );
    }

    #[test]
    fn without_the_mark_every_tag_is_somebody_else_s() {
        let have = tags(&[("team", "a")]);
        assert_eq!(left_over(&have, &BTreeMap::new()), BTreeSet::new());
    }
}
