//! Single objects: reading, writing, deleting, copying.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;

use super::{
    super::{Key, Kind, PutMode},
    Bench, Outcome, expect_kind, require,
};

pub(super) async fn an_object_is_read_back_as_it_was_written(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("folder/object")?;
    let started = Timestamp::now();
    let etag = bench
        .store
        .put(&key, Bytes::from_static(b"some bytes"), PutMode::Overwrite)
        .await?;
    let meta = bench.store.head(&key).await?;
    require!(meta.size == 10, "the size is {}", meta.size);
    require!(
        meta.etag == etag,
        "put names the tag {etag:?}, head {:?}",
        meta.etag
    );
    // Two clocks, one of them with whole seconds: only gross errors (another unit, another zone) can be told.
    let age = (meta.last_modified.as_second() - started.as_second()).abs();
    require!(
        age < 300,
        "last modified {}, but written at {started}",
        meta.last_modified
    );
    let object = bench.store.get(&key, None).await?;
    require!(
        object.meta.etag == etag && object.meta.size == 10,
        "get knows {:?}, head {meta:?}",
        object.meta
    );
    let body = bench.read(&key).await?;
    require!(body == "some bytes", "read {body:?}");
    Ok(())
}

pub(super) async fn an_empty_object_is_an_object(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("empty")?;
    bench
        .store
        .put(&key, Bytes::new(), PutMode::Overwrite)
        .await?;
    let meta = bench.store.head(&key).await?;
    require!(meta.size == 0, "the size is {}", meta.size);
    let body = bench.read(&key).await?;
    require!(body.is_empty(), "read {body:?}");
    require!(bench.all().await?.len() == 1, "it is not listed");
    Ok(())
}

pub(super) async fn what_is_not_there_is_not_found(bench: &Bench<'_>) -> Outcome {
    let (store, missing, other) = (
        &bench.store,
        Key::new("missing/object")?,
        Key::new("other")?,
    );
    expect_kind(store.head(&missing).await, &Kind::NotFound, "head")?;
    expect_kind(store.get(&missing, None).await, &Kind::NotFound, "get")?;
    expect_kind(
        store.get(&missing, Some(0..1)).await,
        &Kind::NotFound,
        "get of a range",
    )?;
    expect_kind(store.copy(&missing, &other).await, &Kind::NotFound, "copy")?;
    // What is only the folder of another object is no object.
    store
        .put(
            &Key::new("missing/object/deeper")?,
            Bytes::from_static(b"x"),
            PutMode::Overwrite,
        )
        .await?;
    expect_kind(
        store.head(&missing).await,
        &Kind::NotFound,
        "head of a folder",
    )?;
    expect_kind(
        store.get(&missing, None).await,
        &Kind::NotFound,
        "get of a folder",
    )
}

pub(super) async fn overwriting_replaces_the_object_and_its_tag(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("object")?;
    let first = bench
        .store
        .put(
            &key,
            Bytes::from_static(b"first, and longer"),
            PutMode::Overwrite,
        )
        .await?;
    let second = bench
        .store
        .put(&key, Bytes::from_static(b"second"), PutMode::Overwrite)
        .await?;
    require!(first != second, "both versions have the tag {first:?}");
    let body = bench.read(&key).await?;
    require!(body == "second", "read {body:?}");
    Ok(())
}

pub(super) async fn a_range_is_clipped_to_the_object(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("digits")?;
    bench
        .store
        .put(&key, Bytes::from_static(b"0123456789"), PutMode::Overwrite)
        .await?;
    for (range, expected) in [
        (0..1, "0"),
        (3..7, "3456"),
        (9..10, "9"),
        (7..1000, "789"),
        (0..u64::MAX, "0123456789"),
    ] {
        let object = bench.store.get(&key, Some(range.clone())).await?;
        require!(
            object.meta.size == 10,
            "of the range {range:?} the object's size is {}",
            object.meta.size
        );
        let body: Vec<u8> = object
            .body
            .map_ok(|chunk| chunk.to_vec())
            .try_concat()
            .await?;
        require!(
            body == expected.as_bytes(),
            "the range {range:?} is {body:?}"
        );
    }
    Ok(())
}

pub(super) async fn a_range_without_a_byte_in_the_object_is_invalid(bench: &Bench<'_>) -> Outcome {
    let (key, empty) = (Key::new("digits")?, Key::new("empty")?);
    bench
        .store
        .put(&key, Bytes::from_static(b"0123456789"), PutMode::Overwrite)
        .await?;
    bench
        .store
        .put(&empty, Bytes::new(), PutMode::Overwrite)
        .await?;
    #[expect(
        clippy::reversed_empty_ranges,
        reason = "a caller can come by one, and it must not become another range"
    )]
    for range in [10..11, 500..1000, 3..3, 0..0, 7..3] {
        let what = format!("the range {range:?}");
        expect_kind(
            bench.store.get(&key, Some(range)).await,
            &Kind::InvalidRange,
            &what,
        )?;
    }
    expect_kind(
        bench.store.get(&empty, Some(0..1)).await,
        &Kind::InvalidRange,
        "a range of an empty object",
    )
}

pub(super) async fn deleting_what_is_not_there_succeeds(bench: &Bench<'_>) -> Outcome {
    let (there, missing) = (Key::new("folder/there")?, Key::new("folder/missing")?);
    bench
        .store
        .put(&there, Bytes::from_static(b"x"), PutMode::Overwrite)
        .await?;
    bench
        .store
        .delete(&[missing.clone(), there.clone(), there.clone()])
        .await?;
    expect_kind(
        bench.store.head(&there).await,
        &Kind::NotFound,
        "what was deleted",
    )?;
    bench.store.delete(&[there, missing]).await?;
    bench.store.delete(&[]).await?;
    Ok(())
}

pub(super) async fn more_than_a_thousand_objects_are_listed_and_deleted(
    bench: &Bench<'_>,
) -> Outcome {
    let keys: Vec<Key> = (0..1100)
        .map(|number| Key::new(format!("many/{:02}/{number:04}", number % 7)))
        .collect::<Result<_, _>>()?;
    let kept = Key::new("many.kept")?;
    bench
        .store
        .put(&kept, Bytes::new(), PutMode::Overwrite)
        .await?;
    let writes: Vec<_> = keys
        .iter()
        .map(|key| {
            bench
                .store
                .put(key, Bytes::from_static(b"x"), PutMode::Overwrite)
        })
        .collect();
    stream::iter(writes)
        .buffer_unordered(16)
        .try_for_each(|_| future::ok(()))
        .await?;
    let listed = bench.all().await?.len();
    require!(
        listed == keys.len() + 1,
        "of {} objects {listed} are listed",
        keys.len() + 1
    );
    bench.store.delete(&keys).await?;
    let left = bench.all().await?;
    require!(
        left.len() == 1 && left.first().is_some_and(|left| left.key == kept),
        "left are {left:?}"
    );
    Ok(())
}

pub(super) async fn a_copy_replaces_its_target_and_leaves_its_source(bench: &Bench<'_>) -> Outcome {
    let (from, to) = (Key::new("a/source")?, Key::new("b/target")?);
    bench
        .store
        .put(&from, Bytes::from_static(b"new"), PutMode::Overwrite)
        .await?;
    bench
        .store
        .put(
            &to,
            Bytes::from_static(b"old and longer"),
            PutMode::Overwrite,
        )
        .await?;
    bench.store.copy(&from, &to).await?;
    for key in [&from, &to] {
        let body = bench.read(key).await?;
        require!(body == "new", "under {key} there is {body:?}");
    }
    bench.store.delete(&[from]).await?;
    require!(
        bench.read(&to).await? == "new",
        "the copy is gone with its source"
    );
    Ok(())
}
