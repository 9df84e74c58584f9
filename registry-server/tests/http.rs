//! The registry over HTTP: one list of sentences, true on every store.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: a failure ends it with a message"
)]

#[path = "http/client.rs"]
mod client;
mod programs;
#[path = "http/reading.rs"]
mod reading;
#[allow(dead_code, reason = "other tests need more of it")]
mod support;
#[path = "http/surroundings.rs"]
mod surroundings;
#[path = "http/writing.rs"]
mod writing;

use std::sync::Arc;

use moorage_registry_server::store::{
    PartSize, Store, filesystem::Filesystem, memory::Memory, s3::S3,
};

macro_rules! sentences {
    ($($module:ident::$sentence:ident,)*) => {
        mod memory {
            $(#[tokio::test] async fn $sentence() {
                crate::$module::$sentence(std::sync::Arc::new(super::Memory::with_part_size(super::PartSize::SMALLEST))).await;
            })*
        }

        mod filesystem {
            $(#[tokio::test] async fn $sentence() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = super::Filesystem::open(folder.path(), super::PartSize::SMALLEST).await.expect("a store");
                crate::$module::$sentence(std::sync::Arc::new(store)).await;
            })*
        }

        /// One server for all of them, because it takes seconds to start; each has a root of its own.
        #[tokio::test]
        async fn every_sentence_is_true_on_s3() {
            let Some(server) = support::S3Server::moto("the registry on S3").await else { return };
            $({
                eprintln!("{}", stringify!($sentence));
                let store: Arc<dyn Store> = Arc::new(S3::new(server.config()).await.expect("a store"));
                $module::$sentence(store).await;
            })*
        }
    };
}

sentences! {
    reading::a_blob_is_only_found_where_it_was_pushed,
    reading::a_large_blob_comes_back_as_it_went,
    reading::a_pushed_image_is_pulled_by_tag_and_by_digest,
    reading::a_range_of_a_blob_is_served,
    reading::referrers_are_listed_filtered_and_merged_with_the_fallback_tag,
    reading::tags_are_listed_in_order_and_in_pages,
    reading::the_bucket_looks_as_distribution_leaves_it,
    reading::the_catalog_lists_each_repository_once_in_pages,
    writing::a_blob_is_mounted_from_a_repository_that_has_it,
    writing::a_blob_is_pushed_in_chunks,
    writing::a_blob_is_pushed_in_one_request,
    writing::a_blob_with_a_wrong_digest_leaves_nothing,
    writing::a_cancelled_upload_is_gone,
    writing::a_manifest_whose_blobs_are_missing_is_refused_with_each_of_them,
    writing::a_push_by_digest_can_set_many_tags,
    writing::a_ticket_is_for_uploads_that_nothing_was_added_to,
    writing::a_sha512_digest_is_taken_early_and_late,
    writing::a_truncated_last_request_can_be_repeated,
    writing::a_truncated_upload_goes_on_where_it_broke_off,
    writing::an_empty_blob_is_a_blob,
    writing::an_index_is_kept_when_its_manifests_are_there,
    writing::an_upload_belongs_to_its_repository,
    writing::an_upload_is_taken_up_by_another_replica,
    writing::any_chunking_makes_the_same_blob,
    writing::bad_manifests_are_refused,
    writing::chunks_out_of_order_are_refused_with_the_place_to_go_on,
    writing::of_two_clients_on_one_upload_only_one_gets_its_bytes_in,
    writing::what_is_deleted_is_gone,
}
