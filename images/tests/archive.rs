//! The archives as their readers see them, around a program of a few bytes.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy.toml allows both in test functions; here the functions that they share need them too"
)]

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use moorage_images::{
    Image,
    cli::{LARGEST_PROGRAM, write_image},
    contents::{OPERATOR, REGISTRY_SERVER, VERSION},
    platform::Platform,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An ELF header that asks for no loader, and nothing after it.
fn static_program() -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    program
}

fn build(image: Image, program: &[u8], folder: &Path) -> Vec<u8> {
    let path = folder.join("program");
    fs::write(&path, program).unwrap();
    let written = write_image(image, Platform::Amd64, &path, VERSION, folder).unwrap();
    let archive = fs::read(&written.archive).unwrap();
    assert_eq!(written.size, archive.len() as u64);
    archive
}

fn build_here(image: Image) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    files(&build(image, &static_program(), folder.path()))
}

fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

/// The blob that a descriptor names, its digest and size checked.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let content = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(hex::encode(Sha256::digest(content)), digest);
    assert_eq!(descriptor["size"], content.len());
    content
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

fn manifest_of(files: &BTreeMap<String, Vec<u8>>) -> Value {
    parse(blob(files, &parse(&files["index.json"])["manifests"][0]))
}

/// `path owner mode` of every entry of every layer.
fn file_system(image: Image) -> Vec<String> {
    let files = build_here(image);
    let manifest = manifest_of(&files);
    let layers = manifest["layers"].as_array().unwrap();
    let mut listing = Vec::new();
    for layer in layers {
        let mut archive = tar::Archive::new(blob(&files, layer));
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.uid().unwrap(), header.gid().unwrap());
            let (uid, mode) = (header.uid().unwrap(), header.mode().unwrap());
            listing.push(format!(
                "{} {uid} {mode:04o}",
                entry.path().unwrap().display()
            ));
        }
    }
    listing
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for image in Image::ALL {
        let first = build(image, &static_program(), one.path());
        assert!(
            first == build(image, &static_program(), other.path()),
            "{image:?} differs"
        );
        let mut changed = static_program();
        changed.push(1);
        assert!(
            first != build(image, &changed, other.path()),
            "{image:?} ignores its program"
        );
    }
}

#[test]
fn both_indexes_name_the_same_blobs_and_no_blob_is_left_over() {
    for (image, reference) in [
        (Image::Operator, OPERATOR),
        (Image::RegistryServer, REGISTRY_SERVER),
    ] {
        let files = build_here(image);
        assert_eq!(
            parse(&files["oci-layout"]),
            json!({"imageLayoutVersion": "1.0.0"})
        );

        let index = parse(&files["index.json"]);
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 1);
        let annotations = json!({"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": VERSION});
        assert_eq!(manifests[0]["annotations"], annotations);
        let manifest = manifest_of(&files);
        let config = parse(blob(&files, &manifest["config"]));
        let layers = manifest["layers"].as_array().unwrap();
        let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        assert_eq!(
            config["rootfs"],
            json!({"type": "layers", "diff_ids": digests})
        );

        let path = |descriptor: &Value| {
            format!(
                "blobs/{}",
                descriptor["digest"].as_str().unwrap().replace(':', "/")
            )
        };
        let docker = json!([{
            "Config": path(&manifest["config"]),
            "RepoTags": [reference],
            "Layers": layers.iter().map(path).collect::<Vec<_>>(),
        }]);
        assert_eq!(parse(&files["manifest.json"]), docker);
        // oci-layout, both indexes, the manifest, the configuration, two layers.
        assert_eq!(files.len(), 7);
    }
}

/// Whoever replaces `registry:2` by ours keeps port, volume and default command.
#[test]
fn the_server_starts_like_the_image_that_it_replaces() {
    let files = build_here(Image::RegistryServer);
    let config = parse(blob(&files, &manifest_of(&files)["config"]));
    let mut runtime = config["config"].clone();
    let labels = runtime.as_object_mut().unwrap().remove("Labels").unwrap();
    assert_eq!(
        runtime,
        json!({
            "User": "65532:65532",
            "ExposedPorts": {"5000/tcp": {}},
            "Env": ["PATH=/usr/local/bin:/bin"],
            "Entrypoint": ["/usr/local/bin/moorage-registry"],
            "Cmd": ["serve"],
            "Volumes": {"/var/lib/registry": {}},
            "WorkingDir": "/",
        })
    );
    assert_eq!(labels["org.opencontainers.image.version"], VERSION);
    assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["os"], "linux");
}

#[test]
fn the_operator_starts_as_a_user_who_is_not_root_and_has_no_volume() {
    let files = build_here(Image::Operator);
    let config = parse(blob(&files, &manifest_of(&files)["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/usr/local/bin/moorage-operator"])
    );
    assert_eq!(config["config"]["ExposedPorts"], json!({"8080/tcp": {}}));
    assert_eq!(config["config"].get("Volumes"), None);
    assert_eq!(config["config"].get("Cmd"), None);
}

#[test]
fn only_the_data_folder_of_the_server_belongs_to_its_user() {
    let base = [
        "etc/ 0 0755",
        "etc/group 0 0644",
        "etc/nsswitch.conf 0 0644",
        "etc/passwd 0 0644",
        "etc/ssl/ 0 0755",
        "etc/ssl/certs/ 0 0755",
        "etc/ssl/certs/ca-certificates.crt 0 0644",
        "tmp/ 0 1777",
    ];
    let operator = [
        "usr/ 0 0755",
        "usr/local/ 0 0755",
        "usr/local/bin/ 0 0755",
        "usr/local/bin/moorage-operator 0 0755",
    ];
    let server = [
        "bin/ 0 0755",
        "bin/registry 0 0777",
        "usr/ 0 0755",
        "usr/local/ 0 0755",
        "usr/local/bin/ 0 0755",
        "usr/local/bin/moorage-registry 0 0755",
        "var/ 0 0755",
        "var/lib/ 0 0755",
        "var/lib/registry/ 65532 0755",
    ];
    assert_eq!(
        file_system(Image::Operator),
        [&base[..], &operator[..]].concat()
    );
    assert_eq!(
        file_system(Image::RegistryServer),
        [&base[..], &server[..]].concat()
    );
}

#[test]
fn the_certificate_authorities_are_in_the_form_that_the_programs_read() {
    let files = build_here(Image::Operator);
    let manifest = manifest_of(&files);
    let mut base = crate::files(blob(&files, &manifest["layers"][0]));
    let bundle = base.remove("etc/ssl/certs/ca-certificates.crt").unwrap();
    let certificates = pem::parse_many(bundle).unwrap();
    assert!(
        certificates.len() > 100,
        "only {} authorities",
        certificates.len()
    );
    // X.509 in DER is a sequence of more than 127 bytes.
    assert!(
        certificates
            .iter()
            .all(|certificate| certificate.tag() == "CERTIFICATE"
                && certificate.contents()[0] == 0x30)
    );
}

#[test]
fn both_images_share_their_lowest_layer() {
    let lowest = |image| manifest_of(&build_here(image))["layers"][0].clone();
    assert_eq!(lowest(Image::Operator), lowest(Image::RegistryServer));
}

#[test]
fn a_program_that_is_not_static_leaves_no_archive() {
    let folder = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let error = write_image(
        Image::Operator,
        Platform::Amd64,
        &this,
        VERSION,
        folder.path(),
    )
    .unwrap_err();
    assert!(
        format!("{error:#}").contains("linked dynamically"),
        "{error:#}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_program_with_debug_information_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let file = fs::File::create(&program).unwrap();
    file.set_len(LARGEST_PROGRAM + 1).unwrap();
    let error = write_image(
        Image::Operator,
        Platform::Amd64,
        &program,
        VERSION,
        folder.path(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("67 MB are too large for an image"),
        "{error:#}"
    );
    assert!(!folder.path().join("operator.tar").exists());
}
