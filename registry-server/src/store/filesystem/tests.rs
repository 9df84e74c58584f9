//! What is true of files beyond the promises of every store.

use std::fs;

use futures::FutureExt;
use tempfile::TempDir;

use super::{super::conformance, *};

async fn store() -> (TempDir, Filesystem) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Filesystem::open(folder.path(), PartSize::SMALLEST)
        .await
        .expect("a store");
    (folder, store)
}

fn key(key: &str) -> Key {
    Key::new(key).expect("a key")
}

#[tokio::test]
async fn the_filesystem_store_keeps_the_promises_of_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = async || -> Result<Arc<dyn Store>, conformance::BoxError> {
        let root = folder.path().join(uuid::Uuid::new_v4().to_string());
        let store: Arc<dyn Store> = Arc::new(Filesystem::open(root, PartSize::SMALLEST).await?);
        Ok(store)
    };
    let no_urls = |_, _| async { Err("a folder has no URLs".into()) }.boxed();
    conformance::run(make, &no_urls)
        .await
        .unwrap_or_else(|failures| panic!("{failures}"));
    for root in fs::read_dir(&folder).expect("the roots") {
        let root = root.expect("a root").path();
        let left: Vec<_> = fs::read_dir(&root)
            .expect("a root")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(left, [".moorage"], "beside its own folder nothing is left");
        assert_eq!(
            fs::read_dir(root.join(".moorage/tmp"))
                .expect("temporary files")
                .count(),
            0
        );
    }
}

#[tokio::test]
async fn an_object_is_the_file_at_its_key() {
    let (folder, store) = store().await;
    store
        .put(
            &key("docker/registry/v2/x/link"),
            Bytes::from_static(b"sha256:0"),
            PutMode::IfAbsent,
        )
        .await
        .expect("written");
    assert_eq!(
        fs::read(folder.path().join("docker/registry/v2/x/link")).expect("a file"),
        b"sha256:0"
    );
    fs::create_dir_all(folder.path().join("docker/registry/v2/y/empty")).expect("a folder");
    fs::write(folder.path().join("docker/registry/v2/y/data"), "theirs").expect("a file");
    let page = store
        .list(&Prefix::root(), ListMode::Deep, None, 10)
        .await
        .expect("a page");
    let keys: Vec<_> = page
        .objects
        .iter()
        .map(|listed| listed.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["docker/registry/v2/x/link", "docker/registry/v2/y/data"]
    );
}

/// An empty folder is what other programs leave where they deleted an object.
#[tokio::test]
async fn an_empty_folder_is_not_in_the_way_of_an_object() {
    let (folder, store) = store().await;
    for mode in [PutMode::IfAbsent, PutMode::Overwrite] {
        fs::create_dir_all(folder.path().join("a/b")).expect("a folder");
        store
            .put(&key("a/b"), Bytes::from_static(b"x"), mode)
            .await
            .expect("written");
        fs::remove_file(folder.path().join("a/b")).expect("removed");
    }
}

#[tokio::test]
async fn a_key_cannot_be_the_folder_of_another() {
    let (_folder, store) = store().await;
    store
        .put(&key("a/b"), Bytes::from_static(b"x"), PutMode::Overwrite)
        .await
        .expect("written");
    for (name, mode) in [
        ("a", PutMode::Overwrite),
        ("a", PutMode::IfAbsent),
        ("a/b/c", PutMode::Overwrite),
    ] {
        let error = store
            .put(&key(name), Bytes::from_static(b"y"), mode)
            .await
            .expect_err(name);
        assert_eq!(error.kind(), &Kind::Other, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_link_out_of_the_root_is_neither_read_nor_written_nor_listed() {
    let (folder, store) = store().await;
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).expect("a link");
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("file"))
        .expect("a link");
    for name in ["out/secret", "file"] {
        assert!(store.get(&key(name), None).await.is_err(), "{name} is read");
        assert!(store.head(&key(name)).await.is_err(), "{name} is found");
    }
    assert!(
        store
            .put(
                &key("out/new"),
                Bytes::from_static(b"x"),
                PutMode::Overwrite
            )
            .await
            .is_err()
    );
    assert!(!outside.path().join("new").try_exists().expect("looked up"));
    store.delete(&[key("out/secret")]).await.ok();
    assert!(
        outside
            .path()
            .join("secret")
            .try_exists()
            .expect("looked up")
    );
    let page = store
        .list(&Prefix::root(), ListMode::Deep, None, 10)
        .await
        .expect("a page");
    assert_eq!(page, Page::default());
}

#[tokio::test]
async fn the_stores_own_files_are_no_objects() {
    let (_folder, store) = store().await;
    let id = store.create_multipart(&key("a")).await.expect("an upload");
    let own = key(&format!(".moorage/uploads/{}/upload", id.0));
    assert!(store.get(&own, None).await.is_err());
    assert!(
        store
            .put(&own, Bytes::new(), PutMode::Overwrite)
            .await
            .is_err()
    );
    assert!(store.delete(std::slice::from_ref(&own)).await.is_err());
    for prefix in ["", ".moorage/", ".moorage/uploads/", ".moo"] {
        let page = store
            .list(
                &Prefix::new(prefix).expect("a prefix"),
                ListMode::Deep,
                None,
                10,
            )
            .await
            .expect("a page");
        assert_eq!(page, Page::default(), "{prefix}");
    }
}

#[tokio::test]
async fn an_upload_is_found_again_by_another_process() {
    let (folder, store) = store().await;
    let id = store
        .create_multipart(&key("a/b"))
        .await
        .expect("an upload");
    let part = store
        .upload_part(&key("a/b"), &id, 1, Bytes::from_static(b"only"))
        .await
        .expect("a part");
    let other = Filesystem::open(folder.path(), PartSize::DEFAULT)
        .await
        .expect("a store");
    assert!(
        other
            .complete_multipart(&key("a/c"), &id, std::slice::from_ref(&part))
            .await
            .expect_err("another key")
            .is_not_found()
    );
    other
        .complete_multipart(&key("a/b"), &id, &[part])
        .await
        .expect("completed");
    assert_eq!(
        fs::read(folder.path().join("a/b")).expect("a file"),
        b"only"
    );
}

#[tokio::test]
async fn what_nobody_will_come_back_to_is_removed_at_start() {
    let (folder, store) = store().await;
    let (old, young) = (
        store.create_multipart(&key("a")).await.expect("old"),
        store.create_multipart(&key("a")).await.expect("young"),
    );
    let (hidden, tmp) = (
        folder.path().join(".moorage/uploads"),
        folder.path().join(".moorage/tmp"),
    );
    fs::write(tmp.join("old"), "").expect("a file");
    fs::write(tmp.join("young"), "").expect("a file");
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(8 * 24);
    let upload = hidden.join(&old.0);
    for path in [
        tmp.join("old"),
        upload.join("data"),
        upload.join("upload"),
        upload.clone(),
    ] {
        fs::File::open(path)
            .expect("a file")
            .set_modified(long_ago)
            .expect("set back");
    }
    Filesystem::open(folder.path(), PartSize::SMALLEST)
        .await
        .expect("a store");
    let names = |path| {
        fs::read_dir(path)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&hidden), [young.0.as_str()]);
    assert_eq!(names(&tmp), ["young"]);
}

#[tokio::test]
async fn a_root_that_is_a_file_is_a_mistake_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let error = Filesystem::open(&file, PartSize::SMALLEST)
        .await
        .expect_err("not a folder");
    assert_eq!(error.kind(), &Kind::Misconfigured, "{error}");
    assert!(error.to_string().contains("file"), "{error}");
}

/// Deleting prunes folders while writers make them: no write may be lost to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_beside_a_delete_that_empties_the_folder_is_not_lost() {
    let (_folder, store) = store().await;
    let work = (0..4).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..50 {
                let key = key(&format!("deep/er/and/deeper/{worker}"));
                store
                    .put(&key, Bytes::from(format!("{round}")), PutMode::IfAbsent)
                    .await
                    .expect("written");
                store.head(&key).await.expect("there");
                store.delete(&[key]).await.expect("deleted");
            }
        })
    });
    for outcome in futures::future::join_all(work).await {
        outcome.expect("a worker");
    }
}
