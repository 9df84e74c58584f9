//! Conditional and concurrent writes.

use bytes::Bytes;
use futures::{TryStreamExt, future};

use super::{
    super::{ETag, Key, Kind, PutMode},
    Bench, Outcome, expect_kind, require,
};

pub(super) async fn if_absent_writes_only_where_nothing_is(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("folder/object")?;
    bench
        .store
        .put(&key, Bytes::from_static(b"first"), PutMode::IfAbsent)
        .await?;
    let again = bench
        .store
        .put(&key, Bytes::from_static(b"second"), PutMode::IfAbsent)
        .await;
    expect_kind(again, &Kind::PreconditionFailed, "the second write")?;
    let body = bench.read(&key).await?;
    require!(body == "first", "read {body:?}");
    bench.store.delete(std::slice::from_ref(&key)).await?;
    bench
        .store
        .put(&key, Bytes::from_static(b"third"), PutMode::IfAbsent)
        .await?;
    Ok(())
}

pub(super) async fn of_many_writers_with_if_absent_exactly_one_wins(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("contended/object")?;
    let attempts = (0..16_u8).map(|writer| {
        let key = &key;
        async move {
            (
                writer,
                bench
                    .store
                    .put(key, Bytes::from(vec![writer; 1000]), PutMode::IfAbsent)
                    .await,
            )
        }
    });
    let mut winners = Vec::new();
    for (writer, outcome) in future::join_all(attempts).await {
        match outcome {
            Ok(_) => winners.push(writer),
            lost => expect_kind(lost, &Kind::PreconditionFailed, "a write that lost")?,
        }
    }
    let body = bench.read(&key).await?;
    require!(winners.len() == 1, "the writers {winners:?} have won");
    require!(
        body.first() == winners.first(),
        "{winners:?} has won, but the bytes are {:?}",
        body.first()
    );
    Ok(())
}

pub(super) async fn if_match_replaces_only_the_version_it_names(bench: &Bench<'_>) -> Outcome {
    let (store, key) = (&bench.store, Key::new("folder/object")?);
    let absent = store
        .put(
            &key,
            Bytes::from_static(b"0"),
            PutMode::IfMatch(ETag::new("\"0123456789abcdef\"")),
        )
        .await;
    expect_kind(
        absent,
        &Kind::PreconditionFailed,
        "a write where nothing is",
    )?;
    let first = store
        .put(&key, Bytes::from_static(b"1"), PutMode::Overwrite)
        .await?;
    let second = store
        .put(
            &key,
            Bytes::from_static(b"2"),
            PutMode::IfMatch(first.clone()),
        )
        .await?;
    let stale = store
        .put(&key, Bytes::from_static(b"3"), PutMode::IfMatch(first))
        .await;
    expect_kind(
        stale,
        &Kind::PreconditionFailed,
        "a write over a version that is gone",
    )?;
    let body = bench.read(&key).await?;
    require!(body == "2", "read {body:?}");
    let found = store.head(&key).await?.etag;
    require!(
        found == second,
        "put names the tag {second:?}, head {found:?}"
    );
    Ok(())
}

pub(super) async fn no_increment_made_with_if_match_is_lost(bench: &Bench<'_>) -> Outcome {
    const WRITERS: usize = 4;
    const INCREMENTS: usize = 3;
    let (store, key) = (&bench.store, Key::new("counter")?);
    store.put(&key, Bytes::new(), PutMode::Overwrite).await?;
    let writer = || async {
        let mut done = 0;
        while done < INCREMENTS {
            let object = store.get(&key, None).await?;
            // A byte for each increment: no two versions are equal, so that no tag comes back.
            let mut body: Vec<u8> = object
                .body
                .map_ok(|chunk| chunk.to_vec())
                .try_concat()
                .await?;
            body.push(b'+');
            match store
                .put(&key, body.into(), PutMode::IfMatch(object.meta.etag))
                .await
            {
                Ok(_) => done += 1,
                lost => expect_kind(lost, &Kind::PreconditionFailed, "a write that lost")?,
            }
        }
        Outcome::Ok(())
    };
    future::try_join_all((0..WRITERS).map(|_| writer())).await?;
    let counted = bench.read(&key).await?.len();
    require!(
        counted == WRITERS * INCREMENTS,
        "{counted} of {} increments are left",
        WRITERS * INCREMENTS
    );
    Ok(())
}

pub(super) async fn a_reader_never_sees_half_a_write(bench: &Bench<'_>) -> Outcome {
    const SIZE: usize = 300_000;
    const WRITES: u8 = 20;
    let key = Key::new("changing")?;
    bench
        .store
        .put(&key, Bytes::from(vec![0; SIZE]), PutMode::Overwrite)
        .await?;
    let writer = async {
        for version in 1..=WRITES {
            bench
                .store
                .put(&key, Bytes::from(vec![version; SIZE]), PutMode::Overwrite)
                .await?;
        }
        Outcome::Ok(())
    };
    let reader = async {
        let mut seen = 0;
        while seen < WRITES {
            let body = bench.read(&key).await?;
            require!(body.len() == SIZE, "a read yields {} bytes", body.len());
            let first = body.first().copied().unwrap_or_default();
            require!(
                body.iter().all(|byte| *byte == first),
                "a read yields two versions at once"
            );
            require!(
                first >= seen,
                "version {first} is read after version {seen}"
            );
            seen = first;
        }
        Outcome::Ok(())
    };
    future::try_join(writer, reader).await?;
    Ok(())
}
