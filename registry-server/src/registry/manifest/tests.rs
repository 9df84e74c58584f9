//! Manifests as they come, and as nobody should send them.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::registry::Algorithm;

fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": Algorithm::Sha256.digest(content), "size": content.len()})
}

fn image() -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"config"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", b"layer"), descriptor("x/y", b"layer")],
    })
}

fn parse(document: &serde_json::Value) -> Result<Manifest, InvalidManifest> {
    Manifest::parse(document.to_string().as_bytes(), None)
}

#[test]
fn an_image_names_its_config_and_each_layer_once() {
    let manifest = parse(&image()).unwrap();
    assert_eq!(
        manifest.blobs,
        [
            Algorithm::Sha256.digest(b"config"),
            Algorithm::Sha256.digest(b"layer")
        ]
    );
    assert_eq!(
        manifest.artifact_type.as_deref(),
        Some("application/vnd.oci.image.config.v1+json")
    );
}

#[test]
fn a_layer_that_is_elsewhere_need_not_be_here() {
    let mut document = image();
    document["layers"][1]["digest"] = json!(Algorithm::Sha256.digest(b"foreign"));
    document["layers"][1]["urls"] = json!(["https://example.com/layer"]);
    assert_eq!(parse(&document).unwrap().blobs.len(), 2);
    document["layers"][1]["urls"] = json!([]);
    assert_eq!(parse(&document).unwrap().blobs.len(), 3);
    document["layers"][1]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    assert_eq!(parse(&document).unwrap().blobs.len(), 2);
}

#[test]
fn a_document_that_is_image_and_index_at_once_is_refused() {
    let mut document = image();
    document["manifests"] = json!([]);
    assert_eq!(parse(&document), Err(InvalidManifest::Ambiguous));
    document["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    assert_eq!(parse(&document), Err(InvalidManifest::Ambiguous));
}

#[test]
fn the_content_type_must_say_what_the_document_says() {
    let bytes = image().to_string();
    let refused = Manifest::parse(
        bytes.as_bytes(),
        Some("application/vnd.docker.distribution.manifest.v2+json"),
    );
    assert!(
        matches!(refused, Err(InvalidManifest::MediaTypeMismatch { .. })),
        "{refused:?}"
    );
    assert!(
        Manifest::parse(
            bytes.as_bytes(),
            Some("application/vnd.oci.image.manifest.v1+json")
        )
        .is_ok()
    );
}

#[rstest]
#[case::schema1(json!({"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": []}), InvalidManifest::Schema1)]
#[case::unknown(json!({"schemaVersion": 2, "mediaType": "text/plain"}), InvalidManifest::UnknownMediaType { media_type: "text/plain".into() })]
#[case::empty(json!({"schemaVersion": 2}), InvalidManifest::Missing { member: "config" })]
#[case::no_version(json!({}), InvalidManifest::Missing { member: "schemaVersion of 2" })]
fn what_is_no_manifest_is_refused(
    #[case] document: serde_json::Value,
    #[case] why: InvalidManifest,
) {
    assert_eq!(parse(&document), Err(why));
}

#[rstest]
#[case("")]
#[case("[]")]
#[case("null")]
#[case("{\"schemaVersion\": 2, \"config\": {\"digest\": \"sha256:../../x\", \"size\": 1}}")]
#[case("{\"schemaVersion\": 2, \"config\": {\"digest\": \"\", \"size\": -1}}")]
fn what_cannot_be_read_is_refused(#[case] text: &str) {
    assert!(matches!(
        Manifest::parse(text.as_bytes(), None),
        Err(InvalidManifest::Syntax { .. })
    ));
}

#[test]
fn unknown_and_repeated_members_are_tolerated() {
    let text =
        image()
            .to_string()
            .replacen('{', r#"{"schemaVersion": 7, "custom": {"a": [1, {}]}, "#, 1);
    assert!(Manifest::parse(text.as_bytes(), None).is_ok());
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let text = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Manifest::parse(text.as_bytes(), None).is_err());
}

proptest! {
    #[test]
    fn no_input_breaks_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::parse(&bytes, None).is_err());
    }
}
