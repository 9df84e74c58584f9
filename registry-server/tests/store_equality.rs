//! The store of files and the store in memory give equal answers to whatever they are asked, so that what a fast test shows on
//! memory is true of files.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this is a test: a failure ends it with a message"
)]

use bytes::Bytes;
use futures::TryStreamExt;
use moorage_registry_server::store::{
    ETag, Error, Key, Kind, ListMode, MultipartId, PartSize, Prefix, PutMode, Store,
    filesystem::Filesystem, memory::Memory,
};
use proptest::prelude::*;

/// Names that sort differently as paths and as bytes; none is the folder of another.
const KEYS: [&str; 8] = [
    "a-b/x",
    "a.b",
    "a/b-c/1",
    "a/b/1",
    "a/b/2",
    "a/b0",
    "a0",
    "z/deep/er",
];
const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "a/b/", "nothing/"];

#[derive(Debug, Clone)]
enum Operation {
    Put(usize, u8),
    PutIfAbsent(usize, u8),
    /// Replaces what a look has just found, or a version that never was.
    PutIfMatch {
        key: usize,
        current: bool,
        byte: u8,
    },
    Get(usize, Option<(u64, u64)>),
    Head(usize),
    Delete(Vec<usize>),
    Copy(usize, usize),
    Upload {
        key: usize,
        byte: u8,
        complete: bool,
    },
    List {
        prefix: usize,
        shallow: bool,
        after: Option<usize>,
        limit: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = 0..KEYS.len();
    prop_oneof![
        (key.clone(), any::<u8>()).prop_map(|(key, byte)| Operation::Put(key, byte)),
        (key.clone(), any::<u8>()).prop_map(|(key, byte)| Operation::PutIfAbsent(key, byte)),
        (key.clone(), any::<bool>(), any::<u8>())
            .prop_map(|(key, current, byte)| Operation::PutIfMatch { key, current, byte }),
        (key.clone(), prop::option::of((0..300_u64, 0..300_u64)))
            .prop_map(|(key, range)| Operation::Get(key, range)),
        key.clone().prop_map(Operation::Head),
        prop::collection::vec(key.clone(), 0..4).prop_map(Operation::Delete),
        (key.clone(), key.clone()).prop_map(|(from, to)| Operation::Copy(from, to)),
        (key.clone(), any::<u8>(), any::<bool>()).prop_map(|(key, byte, complete)| {
            Operation::Upload {
                key,
                byte,
                complete,
            }
        }),
        (
            0..PREFIXES.len(),
            any::<bool>(),
            prop::option::of(key),
            0..5_usize
        )
            .prop_map(|(prefix, shallow, after, limit)| Operation::List {
                prefix,
                shallow,
                after,
                limit
            }),
    ]
}

/// What can be seen of an answer: all but tags and times, which are a store's own.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Failed(Kind),
    Size(u64),
    Bytes(u64, Vec<u8>),
    Names(Vec<(String, u64)>, Vec<String>, Option<String>),
}

fn key(index: usize) -> Key {
    Key::new(KEYS[index]).expect("a key")
}

/// From no byte to a few hundred, so that ranges end within, at, and behind the end.
fn body(byte: u8) -> Bytes {
    vec![byte; usize::from(byte)].into()
}

async fn ask(store: &dyn Store, operation: &Operation) -> Answer {
    attempt(store, operation)
        .await
        .unwrap_or_else(|error| Answer::Failed(error.kind().clone()))
}

async fn attempt(store: &dyn Store, operation: &Operation) -> Result<Answer, Error> {
    match operation {
        Operation::Put(at, byte) => write(store, *at, *byte, PutMode::Overwrite).await,
        Operation::PutIfAbsent(at, byte) => write(store, *at, *byte, PutMode::IfAbsent).await,
        Operation::PutIfMatch {
            key: at,
            current,
            byte,
        } => {
            let found = store
                .head(&key(*at))
                .await
                .ok()
                .filter(|_| *current)
                .map(|meta| meta.etag);
            let etag = found.unwrap_or_else(|| ETag::new("\"never\""));
            write(store, *at, *byte, PutMode::IfMatch(etag)).await
        }
        Operation::Get(at, range) => {
            let object = store
                .get(&key(*at), range.map(|(start, end)| start..end))
                .await?;
            let bytes = object
                .body
                .map_ok(|chunk| chunk.to_vec())
                .try_concat()
                .await?;
            Ok(Answer::Bytes(object.meta.size, bytes))
        }
        Operation::Head(at) => Ok(Answer::Size(store.head(&key(*at)).await?.size)),
        Operation::Delete(at) => {
            let keys: Vec<_> = at.iter().map(|at| key(*at)).collect();
            store.delete(&keys).await.map(|()| Answer::Done)
        }
        Operation::Copy(from, to) => store
            .copy(&key(*from), &key(*to))
            .await
            .map(|()| Answer::Done),
        Operation::Upload {
            key: at,
            byte,
            complete,
        } => upload(store, &key(*at), *byte, *complete).await,
        Operation::List {
            prefix,
            shallow,
            after,
            limit,
        } => list(store, *prefix, *shallow, *after, *limit).await,
    }
}

async fn write(store: &dyn Store, at: usize, byte: u8, mode: PutMode) -> Result<Answer, Error> {
    store
        .put(&key(at), body(byte), mode)
        .await
        .map(|_| Answer::Done)
}

async fn list(
    store: &dyn Store,
    prefix: usize,
    shallow: bool,
    after: Option<usize>,
    limit: usize,
) -> Result<Answer, Error> {
    let prefix = Prefix::new(PREFIXES[prefix]).expect("a prefix");
    let mode = if shallow {
        ListMode::Shallow
    } else {
        ListMode::Deep
    };
    let page = store
        .list(&prefix, mode, after.map(|after| KEYS[after]), limit)
        .await?;
    let objects = page
        .objects
        .into_iter()
        .map(|listed| (listed.key.to_string(), listed.size))
        .collect();
    Ok(Answer::Names(
        objects,
        page.folders.into_iter().map(String::from).collect(),
        page.next,
    ))
}

async fn upload(store: &dyn Store, key: &Key, byte: u8, complete: bool) -> Result<Answer, Error> {
    let id: MultipartId = store.create_multipart(key).await?;
    let part = store.upload_part(key, &id, 1, body(byte)).await?;
    if complete {
        // A part without a byte is refused: then the upload is still there to be aborted.
        let completed = store.complete_multipart(key, &id, &[part]).await;
        store.abort_multipart(key, &id).await?;
        completed?;
    } else {
        store.abort_multipart(key, &id).await?;
    }
    Ok(Answer::Done)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn files_answer_as_memory_does(operations in prop::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let files = Filesystem::open(folder.path(), PartSize::SMALLEST).await.expect("a store");
            let memory = Memory::with_part_size(PartSize::SMALLEST);
            for operation in &operations {
                let (one, other) = (ask(&files, operation).await, ask(&memory, operation).await);
                prop_assert_eq!(one, other, "{:?}", operation);
            }
            Ok(())
        })?;
    }
}
