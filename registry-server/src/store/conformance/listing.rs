//! Listings: order, pages, folders.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    super::{Key, ListMode, Page, Prefix, PutMode},
    Bench, Outcome, require,
};

/// Names that a walk over folders brings in another order than their bytes do: `-` and `.` are before `/`, digits after it.
/// Without a key that is also a folder, which a store of files cannot have.
const NAMES: [&str; 14] = [
    "a-b/x",
    "a.b",
    "a/b-c/1",
    "a/b-c/2",
    "a/b.c",
    "a/b/1",
    "a/b/2",
    "a/b0",
    "a0",
    "b/1",
    "b/deep/er/2",
    "z",
    "\u{fffd}",
    "\u{10000}",
];

async fn fill(bench: &Bench<'_>) -> Outcome {
    for name in NAMES {
        bench
            .store
            .put(&Key::new(name)?, Bytes::from(name), PutMode::Overwrite)
            .await?;
    }
    Ok(())
}

/// What a listing is, said as plainly as possible: the names and folders below `prefix` and after `after`.
fn model(prefix: &str, mode: ListMode, after: &str) -> BTreeSet<String> {
    let below = NAMES.iter().filter(|name| name.starts_with(prefix));
    let folded = below.map(|name| {
        match (
            mode,
            name.get(prefix.len()..).and_then(|rest| rest.find('/')),
        ) {
            (ListMode::Shallow, Some(slash)) => {
                name.get(..=prefix.len() + slash).unwrap_or(name).to_owned()
            }
            _ => (*name).to_owned(),
        }
    });
    folded.filter(|name| name.as_str() > after).collect()
}

/// The names on a page, objects and folders, after checking that each list is in order.
fn names(page: &Page) -> Outcome<Vec<String>> {
    require!(
        page.objects.is_sorted_by(|a, b| a.key < b.key),
        "out of order: {:?}",
        page.objects
    );
    require!(
        page.folders.is_sorted_by(|a, b| a < b),
        "out of order: {:?}",
        page.folders
    );
    let objects = page.objects.iter().map(|listed| listed.key.to_string());
    let mut names: Vec<String> = objects
        .chain(page.folders.iter().map(ToString::to_string))
        .collect();
    names.sort_unstable();
    Ok(names)
}

pub(super) async fn listings_are_in_byte_order(bench: &Bench<'_>) -> Outcome {
    fill(bench).await?;
    let listed = bench.all().await?;
    let keys: Vec<&str> = listed.iter().map(|listed| listed.key.as_str()).collect();
    require!(keys == NAMES, "listed are {keys:?}");
    for listed in listed {
        require!(
            listed.size == listed.key.as_str().len() as u64,
            "listed with a wrong size: {listed:?}"
        );
        let meta = bench.store.head(&listed.key).await?;
        // A listing may have whole seconds or milliseconds where the object itself has more, or the other way round.
        let apart = (meta.last_modified.as_second() - listed.last_modified.as_second()).abs();
        require!(
            apart <= 1,
            "listed as of {}, but it is of {}",
            listed.last_modified,
            meta.last_modified
        );
    }
    Ok(())
}

pub(super) async fn pages_add_up_to_the_whole_whatever_their_size(bench: &Bench<'_>) -> Outcome {
    fill(bench).await?;
    for (prefix, mode) in [
        ("", ListMode::Deep),
        ("", ListMode::Shallow),
        ("a/", ListMode::Deep),
        ("a/", ListMode::Shallow),
    ] {
        for limit in [0, 1, 2, 3, 5, 14, 5000] {
            let expected = model(prefix, mode, "");
            let mut found = Vec::new();
            let mut after = None;
            loop {
                let page = bench
                    .store
                    .list(&Prefix::new(prefix)?, mode, after.as_deref(), limit)
                    .await?;
                let names = names(&page)?;
                require!(
                    names.len() <= limit.max(1),
                    "a page of {limit} has {names:?}"
                );
                require!(
                    page.next.is_none() || !names.is_empty(),
                    "a page of {limit} of {prefix:?} is empty, but not the last"
                );
                found.extend(names);
                require!(
                    found.len() <= expected.len(),
                    "{mode:?} {prefix:?} by {limit} goes on and on: {found:?}"
                );
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            require!(
                found.iter().eq(&expected),
                "{mode:?} {prefix:?} by {limit} is {found:?}, not {expected:?}"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_listing_begins_after_any_string(bench: &Bench<'_>) -> Outcome {
    fill(bench).await?;
    let places = [
        "",
        "a",
        "a-b/x",
        "a-b/y",
        "a.",
        "a/",
        "a/b",
        "a/b-c/",
        "a/b-c/1",
        "a/b/",
        "a/zzz",
        "a0",
        "b/",
        "y",
        "z",
        "zz",
        "\u{10000}",
    ];
    for (prefix, mode) in [
        ("", ListMode::Deep),
        ("", ListMode::Shallow),
        ("a/", ListMode::Deep),
        ("a/", ListMode::Shallow),
    ] {
        for after in places {
            let page = bench
                .store
                .list(&Prefix::new(prefix)?, mode, Some(after), 1000)
                .await?;
            let (found, expected) = (names(&page)?, model(prefix, mode, after));
            require!(
                found.iter().eq(&expected),
                "{mode:?} {prefix:?} after {after:?} is {found:?}, not {expected:?}"
            );
            require!(
                page.next.is_none(),
                "{mode:?} {prefix:?} after {after:?} is whole, but goes on after {:?}",
                page.next
            );
        }
    }
    Ok(())
}

pub(super) async fn a_prefix_may_end_within_a_name(bench: &Bench<'_>) -> Outcome {
    fill(bench).await?;
    for prefix in ["a", "a/b", "a/b-", "a/b-c/1", "b/deep/e", "\u{fffd}"] {
        for mode in [ListMode::Deep, ListMode::Shallow] {
            let page = bench
                .store
                .list(&Prefix::new(prefix)?, mode, None, 1000)
                .await?;
            let (found, expected) = (names(&page)?, model(prefix, mode, ""));
            require!(
                found.iter().eq(&expected),
                "{mode:?} {prefix:?} is {found:?}, not {expected:?}"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_prefix_with_nothing_below_is_an_empty_page(bench: &Bench<'_>) -> Outcome {
    fill(bench).await?;
    // The last one is a key: below it there is nothing.
    for prefix in ["missing/", "a/b/3", "b/deep/er/2/", "z/"] {
        for mode in [ListMode::Deep, ListMode::Shallow] {
            let page = bench
                .store
                .list(&Prefix::new(prefix)?, mode, None, 10)
                .await?;
            require!(page == Page::default(), "{mode:?} {prefix:?} is {page:?}");
        }
    }
    Ok(())
}

pub(super) async fn a_folder_is_gone_with_its_last_object(bench: &Bench<'_>) -> Outcome {
    let (one, two) = (
        Key::new("tags/v1/current/link")?,
        Key::new("tags/v2/current/link")?,
    );
    for key in [&one, &two] {
        bench
            .store
            .put(key, Bytes::from_static(b"x"), PutMode::Overwrite)
            .await?;
    }
    bench.store.delete(&[one]).await?;
    let page = bench
        .store
        .list(&Prefix::new("tags/")?, ListMode::Shallow, None, 10)
        .await?;
    require!(names(&page)? == ["tags/v2/"], "left are {page:?}");
    Ok(())
}
