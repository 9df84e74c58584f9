//! Multipart uploads.

use bytes::Bytes;
use futures::{TryStreamExt, future};

use super::{
    super::{Key, Kind, MultipartId, Part, PutMode},
    Bench, Outcome, expect_kind, require,
};

/// A part of full size and a short last one, of which every stretch is different.
fn two_parts(bench: &Bench<'_>, seed: u8) -> [Bytes; 2] {
    let full = usize::try_from(bench.store.part_size().get()).unwrap_or(usize::MAX);
    [pattern(seed, full), pattern(seed.wrapping_add(100), 12_345)]
}

/// A period that is no power of two, so that a part in a wrong place shows.
fn pattern(seed: u8, length: usize) -> Bytes {
    (0..=250_u8)
        .map(|byte| byte.wrapping_add(seed))
        .cycle()
        .take(length)
        .collect()
}

async fn upload(
    bench: &Bench<'_>,
    key: &Key,
    bodies: &[Bytes],
) -> Outcome<(MultipartId, Vec<Part>)> {
    let id = bench.store.create_multipart(key).await?;
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let part = bench
            .store
            .upload_part(key, &id, number, body.clone())
            .await?;
        require!(
            part.number == number && part.size == body.len() as u64,
            "part {number} is returned as {part:?}"
        );
        parts.push(part);
    }
    Ok((id, parts))
}

async fn require_content(bench: &Bench<'_>, key: &Key, pieces: &[Bytes]) -> Outcome {
    let expected = pieces.concat();
    let size = bench.store.head(key).await?.size;
    require!(
        size == expected.len() as u64,
        "the object has {size} bytes, its parts {}",
        expected.len()
    );
    require!(
        bench.read(key).await? == expected,
        "the bytes are not those of the parts in their order"
    );
    Ok(())
}

pub(super) async fn parts_make_an_object_in_their_order(bench: &Bench<'_>) -> Outcome {
    let (key, bodies) = (Key::new("large/object")?, two_parts(bench, 0));
    let (id, parts) = upload(bench, &key, &bodies).await?;
    bench.store.complete_multipart(&key, &id, &parts).await?;
    require_content(bench, &key, &bodies).await?;
    let (key, only) = (Key::new("large/of one part")?, [pattern(9, 77)]);
    let (id, parts) = upload(bench, &key, &only).await?;
    bench.store.complete_multipart(&key, &id, &parts).await?;
    require_content(bench, &key, &only).await
}

pub(super) async fn parts_may_arrive_in_any_order_and_at_once(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("large/object")?;
    let [full, last] = two_parts(bench, 3);
    let id = bench.store.create_multipart(&key).await?;
    let third = bench.store.upload_part(&key, &id, 3, last.clone()).await?;
    let middle: Bytes = full.iter().rev().copied().collect();
    let (second, first) = future::try_join(
        bench.store.upload_part(&key, &id, 2, middle.clone()),
        bench.store.upload_part(&key, &id, 1, full.clone()),
    )
    .await?;
    bench
        .store
        .complete_multipart(&key, &id, &[first, second, third])
        .await?;
    require_content(bench, &key, &[full, middle, last]).await
}

pub(super) async fn a_part_uploaded_again_replaces_the_earlier_one(bench: &Bench<'_>) -> Outcome {
    let key = Key::new("large/object")?;
    let [full, last] = two_parts(bench, 5);
    let (id, mut parts) = upload(bench, &key, &[pattern(77, full.len()), last.clone()]).await?;
    let again = bench.store.upload_part(&key, &id, 1, full.clone()).await?;
    let shorter = last.slice(..1000);
    let last = bench
        .store
        .upload_part(&key, &id, 2, shorter.clone())
        .await?;
    parts.clear();
    bench
        .store
        .complete_multipart(&key, &id, &[again, last])
        .await?;
    require_content(bench, &key, &[full, shorter]).await
}

pub(super) async fn nothing_is_visible_before_completion(bench: &Bench<'_>) -> Outcome {
    let (key, bodies) = (Key::new("large/object")?, two_parts(bench, 7));
    let (id, _) = upload(bench, &key, &bodies).await?;
    expect_kind(
        bench.store.head(&key).await,
        &Kind::NotFound,
        "head before completion",
    )?;
    let listed = bench.all().await?;
    require!(listed.is_empty(), "before completion there is {listed:?}");
    bench.store.abort_multipart(&key, &id).await?;
    Ok(())
}

pub(super) async fn completing_replaces_what_is_there(bench: &Bench<'_>) -> Outcome {
    let (key, bodies) = (Key::new("large/object")?, two_parts(bench, 11));
    bench
        .store
        .put(&key, Bytes::from_static(b"old"), PutMode::Overwrite)
        .await?;
    let old = bench.store.head(&key).await?.etag;
    let (id, parts) = upload(bench, &key, &bodies).await?;
    require!(
        bench.read(&key).await? == "old",
        "the old object is gone before completion"
    );
    bench.store.complete_multipart(&key, &id, &parts).await?;
    let new = bench.store.head(&key).await?.etag;
    require!(
        old != new,
        "the new object has the tag of the old one, {old:?}"
    );
    require_content(bench, &key, &bodies).await
}

pub(super) async fn an_aborted_upload_is_gone(bench: &Bench<'_>) -> Outcome {
    let (store, key, bodies) = (
        &bench.store,
        Key::new("large/object")?,
        two_parts(bench, 13),
    );
    let (id, parts) = upload(bench, &key, &bodies).await?;
    store.abort_multipart(&key, &id).await?;
    let [_, last] = bodies;
    expect_kind(
        store.upload_part(&key, &id, 2, last).await,
        &Kind::NotFound,
        "a part of an aborted upload",
    )?;
    expect_kind(
        store.complete_multipart(&key, &id, &parts).await,
        &Kind::NotFound,
        "completing an aborted upload",
    )?;
    store.abort_multipart(&key, &id).await?;
    expect_kind(store.head(&key).await, &Kind::NotFound, "the object")
}

pub(super) async fn completing_twice_changes_nothing(bench: &Bench<'_>) -> Outcome {
    let (key, bodies) = (Key::new("large/object")?, two_parts(bench, 17));
    let (id, parts) = upload(bench, &key, &bodies).await?;
    bench.store.complete_multipart(&key, &id, &parts).await?;
    match bench.store.complete_multipart(&key, &id, &parts).await {
        Ok(()) => {}
        refused => expect_kind(refused, &Kind::NotFound, "completing again")?,
    }
    bench.store.abort_multipart(&key, &id).await?;
    require_content(bench, &key, &bodies).await
}

pub(super) async fn parts_that_were_not_uploaded_are_refused(bench: &Bench<'_>) -> Outcome {
    let (store, key, bodies) = (
        &bench.store,
        Key::new("large/object")?,
        two_parts(bench, 19),
    );
    let (id, parts) = upload(bench, &key, &bodies).await?;
    let [first, second] = parts.as_slice() else {
        return Err("two parts were uploaded".into());
    };
    let forged = Part {
        etag: "\"00000000000000000000000000000000\"".to_owned(),
        ..second.clone()
    };
    let never = Part {
        number: 3,
        ..second.clone()
    };
    for (what, wrong) in [
        ("no part at all", vec![]),
        ("a part with another tag", vec![first.clone(), forged]),
        ("a part that was never uploaded", vec![first.clone(), never]),
        (
            "parts in the wrong order",
            vec![second.clone(), first.clone()],
        ),
        ("a gap at the beginning", vec![second.clone()]),
    ] {
        expect_kind(
            store.complete_multipart(&key, &id, &wrong).await,
            &Kind::InvalidParts,
            what,
        )?;
    }
    for number in [0, Part::MAX_NUMBER + 1] {
        let outcome = store
            .upload_part(&key, &id, number, Bytes::from_static(b"x"))
            .await;
        expect_kind(
            outcome,
            &Kind::InvalidParts,
            &format!("a part numbered {number}"),
        )?;
    }
    expect_kind(store.head(&key).await, &Kind::NotFound, "the object")?;
    store.complete_multipart(&key, &id, &parts).await?;
    require_content(bench, &key, &bodies).await
}

pub(super) async fn two_uploads_of_one_key_do_not_mix(bench: &Bench<'_>) -> Outcome {
    let (key, one, two) = (
        Key::new("large/object")?,
        two_parts(bench, 23),
        two_parts(bench, 29),
    );
    let (first, first_parts) = upload(bench, &key, &one).await?;
    let (second, second_parts) = upload(bench, &key, &two).await?;
    require!(first != second, "both uploads are named {first:?}");
    bench
        .store
        .complete_multipart(&key, &first, &first_parts)
        .await?;
    require_content(bench, &key, &one).await?;
    bench
        .store
        .complete_multipart(&key, &second, &second_parts)
        .await?;
    require_content(bench, &key, &two).await
}

pub(super) async fn a_large_object_is_streamed_and_copied(bench: &Bench<'_>) -> Outcome {
    const LARGEST_CHUNK: usize = 4 * 1024 * 1024;
    let (key, copy) = (Key::new("large/object")?, Key::new("copies/large")?);
    let [full, last] = two_parts(bench, 31);
    let bodies = [
        full.clone(),
        full.iter().rev().copied().collect(),
        full.clone(),
        last,
    ];
    let (id, parts) = upload(bench, &key, &bodies).await?;
    bench.store.complete_multipart(&key, &id, &parts).await?;
    bench.store.copy(&key, &copy).await?;
    let mut body = bench.store.get(&copy, None).await?.body;
    let mut rest = Bytes::from(bodies.concat());
    while let Some(chunk) = body.try_next().await? {
        require!(
            chunk.len() <= LARGEST_CHUNK,
            "{} bytes arrive at once: the object is not streamed",
            chunk.len()
        );
        require!(
            rest.starts_with(&chunk),
            "the bytes are others, {} before the end",
            rest.len()
        );
        let _ = rest.split_to(chunk.len());
    }
    require!(rest.is_empty(), "the last {} bytes are missing", rest.len());
    // A range across the border of two parts.
    let border = bench.store.part_size().get();
    let range: Vec<u8> = bench
        .store
        .get(&copy, Some(border - 3..border + 3))
        .await?
        .body
        .map_ok(|chunk| chunk.to_vec())
        .try_concat()
        .await?;
    let expected: Vec<u8> = full
        .iter()
        .rev()
        .take(3)
        .rev()
        .chain(full.iter().rev().take(3))
        .copied()
        .collect();
    require!(
        range == expected,
        "across the border of two parts there is {range:?}"
    );
    Ok(())
}
