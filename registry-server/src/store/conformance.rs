//! What every [`Store`] promises, as one list of cases that runs over any of them.
//!
//! Public, so that whoever writes a store outside this crate has the same measure. A case gets a store of its own with
//! nothing in it, and the store must be empty again when the case's objects have been deleted. What a store cannot be
//! asked from outside (what is in its lifecycle rules, whether a disk has taken the bytes) is not here.

use std::{error::Error as StdError, fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{TryStreamExt, future::BoxFuture};
use url::Url;

use super::{Error, Key, Kind, ListMode, Listed, Prefix, PresignedMethod, Store};

mod conditions;
mod keys;
mod listing;
mod multipart;
mod objects;

/// Any error, for what a user of the suite brings along.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A plain HTTP client: asks for the URL with the method and no header of its own; yields the status and the body.
pub type Fetch = dyn Fn(PresignedMethod, Url) -> BoxFuture<'static, Result<(u16, Bytes), BoxError>>
    + Send
    + Sync;

/// One case that a store did not pass.
#[derive(Debug)]
pub struct CaseFailure {
    /// The promise that is broken, as the name of its case.
    pub case: &'static str,
    /// What was seen.
    pub reason: BoxError,
}

/// All the cases that a store did not pass; at least one.
#[derive(Debug)]
pub struct Failures(pub Vec<CaseFailure>);

/// What a case works with.
struct Bench<'a> {
    store: Arc<dyn Store>,
    fetch: &'a Fetch,
}

type Outcome<T = ()> = Result<T, BoxError>;

struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, Outcome>,
}

macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($(Case { name: stringify!($name), run: |bench| Box::pin($module::$name(bench)) }),+),+]
    };
}

/// Returns from a case with a message when a condition does not hold.
macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}
use require;

const CASES: &[Case] = cases! {
    objects:
        an_object_is_read_back_as_it_was_written,
        an_empty_object_is_an_object,
        what_is_not_there_is_not_found,
        overwriting_replaces_the_object_and_its_tag,
        a_range_is_clipped_to_the_object,
        a_range_without_a_byte_in_the_object_is_invalid,
        deleting_what_is_not_there_succeeds,
        more_than_a_thousand_objects_are_listed_and_deleted,
        a_copy_replaces_its_target_and_leaves_its_source;
    conditions:
        if_absent_writes_only_where_nothing_is,
        of_many_writers_with_if_absent_exactly_one_wins,
        if_match_replaces_only_the_version_it_names,
        no_increment_made_with_if_match_is_lost,
        a_reader_never_sees_half_a_write;
    keys:
        keys_with_special_characters_are_told_apart,
        a_long_key_is_a_key,
        a_presigned_url_needs_nothing_else;
    listing:
        listings_are_in_byte_order,
        pages_add_up_to_the_whole_whatever_their_size,
        a_listing_begins_after_any_string,
        a_prefix_may_end_within_a_name,
        a_prefix_with_nothing_below_is_an_empty_page,
        a_folder_is_gone_with_its_last_object;
    multipart:
        parts_make_an_object_in_their_order,
        parts_may_arrive_in_any_order_and_at_once,
        a_part_uploaded_again_replaces_the_earlier_one,
        nothing_is_visible_before_completion,
        completing_replaces_what_is_there,
        an_aborted_upload_is_gone,
        completing_twice_changes_nothing,
        parts_that_were_not_uploaded_are_refused,
        two_uploads_of_one_key_do_not_mix,
        a_large_object_is_streamed_and_copied;
};

/// Runs every case over a store that `make` makes: each time another one with nothing in it (its own root prefix will do),
/// with [`super::PartSize::MIN`] as its part size to keep the suite short. `fetch` reads presigned URLs, where the store has them.
///
/// # Errors
/// The cases that did not pass. All are run.
pub async fn run<M>(make: M, fetch: &Fetch) -> Result<(), Failures>
where
    M: AsyncFn() -> Result<Arc<dyn Store>, BoxError>,
{
    let mut failures = Vec::new();
    for Case { name, run } in CASES {
        let outcome = match make().await {
            Ok(store) => one(&Bench { store, fetch }, *run).await,
            Err(error) => Err(error),
        };
        if let Err(reason) = outcome {
            failures.push(CaseFailure { case: name, reason });
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failures(failures))
    }
}

async fn one<'a>(
    bench: &'a Bench<'a>,
    run: fn(&'a Bench<'a>) -> BoxFuture<'a, Outcome>,
) -> Outcome {
    bench.store.check().await?;
    let before = bench.all().await?;
    require!(
        before.is_empty(),
        "the new store is not empty: it has {before:?}"
    );
    run(bench).await?;
    let keys: Vec<Key> = bench
        .all()
        .await?
        .into_iter()
        .map(|listed| listed.key)
        .collect();
    bench.store.delete(&keys).await?;
    let after = bench.all().await?;
    require!(
        after.is_empty(),
        "after everything was deleted there is still {after:?}"
    );
    let page = bench
        .store
        .list(&Prefix::root(), ListMode::Shallow, None, 1)
        .await?;
    require!(
        page.folders.is_empty(),
        "after everything was deleted there are still folders {:?}",
        page.folders
    );
    Ok(())
}

impl Bench<'_> {
    /// Every object in the store.
    async fn all(&self) -> Outcome<Vec<Listed>> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .store
                .list(&Prefix::root(), ListMode::Deep, after.as_deref(), 1000)
                .await?;
            all.extend(page.objects);
            if page.next.is_none() {
                return Ok(all);
            }
            require!(
                page.next > after,
                "the next page begins after {:?}, which is not after {after:?}",
                page.next
            );
            after = page.next;
        }
    }

    async fn read(&self, key: &Key) -> Outcome<Bytes> {
        Ok(self
            .store
            .get(key, None)
            .await?
            .body
            .try_collect::<BytesMut>()
            .await?
            .freeze())
    }
}

/// Fails unless `result` is an error of this kind.
fn expect_kind<T: fmt::Debug>(result: Result<T, Error>, kind: &Kind, what: &str) -> Outcome {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(format!(
            "{what} is {:?} instead of {kind:?}: {}",
            error.kind(),
            chain(&error)
        )
        .into()),
        Ok(value) => Err(format!("{what} succeeds with {value:?} instead of {kind:?}").into()),
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, chain(self.reason.as_ref()))
    }
}

impl StdError for CaseFailure {}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} cases failed", self.0.len(), CASES.len())?;
        for failure in &self.0 {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

impl StdError for Failures {}
