//! Names that are hard to carry: special, long, and in URLs.

use std::time::Duration;

use bytes::Bytes;

use super::{
    super::{Key, Kind, PresignedMethod, PutMode},
    Bench, Outcome, expect_kind, require,
};

/// Each of them goes through a URL, a header and XML.
const ODD: [&str; 18] = [
    "plain",
    "Plain",
    "with space",
    "with+plus",
    "with%20percent",
    "with%2Fslash",
    "a&b=c?d#e",
    "quote\"'`",
    "<tag>&amp;",
    "semi;colon,comma:at@",
    "tilde~dollar$star*",
    "(round)[square]{curly}|^",
    "ünïcödé",
    "日本語",
    "🦀",
    "é",
    "e\u{301}",
    "...",
];

pub(super) async fn keys_with_special_characters_are_told_apart(bench: &Bench<'_>) -> Outcome {
    for name in ODD {
        let key = Key::new(format!("odd/{name}/object {name}"))?;
        bench
            .store
            .put(&key, Bytes::from(name), PutMode::IfAbsent)
            .await?;
    }
    let mut listed: Vec<Key> = bench
        .all()
        .await?
        .into_iter()
        .map(|listed| listed.key)
        .collect();
    require!(
        listed.len() == ODD.len(),
        "{} keys have become {}: {listed:?}",
        ODD.len(),
        listed.len()
    );
    for name in ODD {
        let key = Key::new(format!("odd/{name}/object {name}"))?;
        let body = bench.read(&key).await?;
        require!(body == name, "under {key} there is {body:?}");
        let copy = Key::new(format!("copies/{name}"))?;
        bench.store.copy(&key, &copy).await?;
        require!(
            bench.read(&copy).await? == name,
            "the copy of {key} is another object"
        );
        bench.store.delete(std::slice::from_ref(&key)).await?;
        expect_kind(
            bench.store.head(&key).await,
            &Kind::NotFound,
            &format!("{key} after it was deleted"),
        )?;
        listed.retain(|left| *left != key);
    }
    require!(
        listed.is_empty(),
        "keys were listed that were never written: {listed:?}"
    );
    Ok(())
}

pub(super) async fn a_long_key_is_a_key(bench: &Bench<'_>) -> Outcome {
    // Files have names of at most 255 bytes; a store may put the suite below a prefix of its own, so not all of the 1,024.
    let key = Key::new(
        [
            ("a".repeat(200)),
            "b".repeat(200),
            "ü".repeat(100),
            "d".repeat(200),
        ]
        .join("/"),
    )?;
    bench
        .store
        .put(&key, Bytes::from_static(b"deep"), PutMode::IfAbsent)
        .await?;
    let body = bench.read(&key).await?;
    require!(body == "deep", "read {body:?}");
    let listed = bench.all().await?;
    require!(
        listed.first().is_some_and(|listed| listed.key == key),
        "listed as {listed:?}"
    );
    Ok(())
}

pub(super) async fn a_presigned_url_needs_nothing_else(bench: &Bench<'_>) -> Outcome {
    let hour = Duration::from_hours(1);
    for name in ["folder/object", "odd name/ü+%20&?#"] {
        let key = Key::new(name)?;
        bench
            .store
            .put(&key, Bytes::from(name), PutMode::Overwrite)
            .await?;
        if let Some(url) = bench
            .store
            .presign(PresignedMethod::Get, &key, hour)
            .await?
        {
            let (status, body) = (bench.fetch)(PresignedMethod::Get, url).await?;
            require!(
                status == 200 && body == name,
                "GET of {key} is answered with {status} and {body:?}"
            );
        }
        if let Some(url) = bench
            .store
            .presign(PresignedMethod::Head, &key, hour)
            .await?
        {
            let (status, _) = (bench.fetch)(PresignedMethod::Head, url).await?;
            require!(status == 200, "HEAD of {key} is answered with {status}");
        }
    }
    Ok(())
}
