//! Other people's clients, and distribution itself on the same data.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: a failure ends it with a message"
)]

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    engine::Engine,
    process::{SOON, Server, image, run, succeed},
    programs::program,
    support::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY},
};

mod engine;
mod process;
mod programs;
#[allow(dead_code, reason = "each file of tests uses a part of it")]
mod support;

const USER: &str = "alice";
const PASSWORD: &str = "open sesame";

/// A server for one user, with delete enabled.
fn with_password(variables: &[(&str, &str)]) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let hash = bcrypt::hash(PASSWORD, 5).expect("a hash");
    std::fs::write(folder.path().join("htpasswd"), format!("{USER}:{hash}\n")).expect("written");
    let own = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "htpasswd"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
    ];
    Server::start_in(folder, &[&own[..], variables].concat())
}

#[test]
fn crane_logs_in_pushes_lists_pulls_and_deletes() {
    let Some(crane) = program("crane with our server", "MOORAGE_CRANE", "crane") else {
        return;
    };
    let server = with_password(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&crane);
        succeed(
            command
                .args(arguments)
                .arg("--insecure")
                .env("DOCKER_CONFIG", folder.path())
                .current_dir(folder.path()),
        )
    };
    let digest = image::write(&folder.path().join("image"), 1);
    let reference = server.reference("team/app:1.0");
    run(&[
        "auth",
        "login",
        &server.address().to_string(),
        "-u",
        USER,
        "-p",
        PASSWORD,
    ]);
    run(&["push", "image", &reference]);
    assert_eq!(run(&["digest", &reference]).trim(), digest);
    assert_eq!(
        run(&["catalog", &server.address().to_string()]).trim(),
        "team/app"
    );
    run(&["copy", &reference, &server.reference("other/app:1.0")]);
    run(&[
        "pull",
        &server.reference("other/app:1.0"),
        "pulled",
        "--format",
        "oci",
    ]);
    assert_eq!(image::read(&folder.path().join("pulled")), digest);
    run(&["tag", &reference, "2.0"]);
    assert_eq!(
        run(&["ls", &server.reference("team/app")])
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["1.0", "2.0"]
    );
    run(&["delete", &server.reference(&format!("team/app@{digest}"))]);
    let mut gone = Command::new(&crane);
    let gone = gone
        .args(["digest", &reference, "--insecure"])
        .env("DOCKER_CONFIG", folder.path());
    assert!(!process::run(gone).status.success());
}

#[test]
fn skopeo_pushes_and_pulls() {
    let Some(skopeo) = program("skopeo with our server", "MOORAGE_SKOPEO", "skopeo") else {
        return;
    };
    let server = with_password(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let digest = image::write(&folder.path().join("image"), 2);
    let credentials = format!("{USER}:{PASSWORD}");
    let reference = format!("docker://{}", server.reference("team/app:1.0"));
    let push = [
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        "--dest-creds",
        &credentials,
        "oci:image",
        &reference,
    ];
    succeed(
        Command::new(&skopeo)
            .arg("--insecure-policy")
            .args(push)
            .current_dir(folder.path()),
    );
    let pull = [
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--src-creds",
        &credentials,
        &reference,
        "oci:pulled",
    ];
    succeed(
        Command::new(&skopeo)
            .arg("--insecure-policy")
            .args(pull)
            .current_dir(folder.path()),
    );
    assert_eq!(image::read(&folder.path().join("pulled")), digest);

    let wrong = [
        "inspect",
        "--tls-verify=false",
        "--creds",
        "alice:wrong",
        &reference,
    ];
    let refused = run(Command::new(&skopeo).args(wrong));
    assert!(!refused.status.success());
}

#[test]
fn docker_logs_in_pushes_and_pulls() {
    let Some(docker) = Engine::start("docker with our server") else {
        return;
    };
    let server = with_password(&[]);
    // An engine speaks plain HTTP to its own machine, and only to that.
    let host = format!("localhost:{}", server.address().port());
    let reference = format!("{host}/team/app:1.0");
    docker.write("Dockerfile", b"FROM scratch\nCOPY layer /\n");
    docker.write("layer", &image::layer(6));
    docker.run(&["build", "--quiet", "--tag", &reference, "."]);
    let built = docker.id(&reference);

    assert!(
        docker
            .refused(&["push", &reference])
            .contains("no basic auth")
    );
    let wrong = docker.refused(&["login", "-u", USER, "-p", "wrong", &host]);
    assert!(wrong.contains("401 Unauthorized"), "{wrong}");
    docker.run(&["login", "-u", USER, "-p", PASSWORD, &host]);
    docker.run(&["push", &reference]);
    docker.run(&["rmi", &reference]);
    assert!(
        docker
            .refused(&["inspect", &reference])
            .contains("No such object")
    );
    docker.run(&["pull", &reference]);
    assert_eq!(docker.id(&reference), built);
}

/// Distribution 2.8, as Debian has it. Stopped when dropped.
struct Distribution {
    process: Child,
    folder: TempDir,
    address: String,
}

impl Distribution {
    /// Serves what `storage`, a YAML mapping, says. `None`, having said so, where it is not installed.
    fn start(test: &str, storage: &str) -> Option<Self> {
        let program = program(test, "MOORAGE_DISTRIBUTION", "docker-registry")?;
        let folder = tempfile::tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|port| port.local_addr())
            .expect("a port")
            .to_string();
        let config = format!("version: 0.1\nstorage: {storage}\nhttp: {{addr: '{address}'}}\n");
        std::fs::write(folder.path().join("config.yml"), config).expect("written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let process = Command::new(program)
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            // Its SDK fails on a bundle that it cannot read, even without TLS.
            .env_remove("AWS_CA_BUNDLE")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("distribution starts");
        let mut started = Self {
            process,
            folder,
            address,
        };
        let deadline = Instant::now() + SOON;
        while std::net::TcpStream::connect(&started.address).is_err() {
            let ended = started.process.try_wait().expect("a state");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "distribution does not serve: {}",
                started.log()
            );
            std::thread::yield_now();
        }
        Some(started)
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Pushes and pulls with skopeo, which knows both kinds of image.
struct Skopeo {
    program: std::ffi::OsString,
    folder: TempDir,
}

impl Skopeo {
    fn find(test: &str) -> Option<Self> {
        let program = program(test, "MOORAGE_SKOPEO", "skopeo")?;
        Some(Self {
            program,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    fn push(&self, seed: u8, reference: &str, more: &[&str]) -> String {
        let name = format!("image-{seed}");
        let digest = image::write(&self.folder.path().join(&name), seed);
        self.copy(
            more,
            &format!("oci:{name}"),
            &format!("docker://{reference}"),
        );
        digest
    }

    fn pull(&self, reference: &str) -> String {
        let name = format!("pulled-{}", reference.replace(['/', ':'], "-"));
        self.copy(
            &["--preserve-digests"],
            &format!("docker://{reference}"),
            &format!("oci:{name}"),
        );
        image::read(&self.folder.path().join(name))
    }

    /// The digest of a manifest as the registry has it.
    fn digest(&self, reference: &str) -> String {
        let arguments = [
            "inspect",
            "--tls-verify=false",
            "--format",
            "{{.Digest}}",
            &format!("docker://{reference}"),
        ];
        succeed(Command::new(&self.program).args(arguments))
            .trim()
            .to_owned()
    }

    fn copy(&self, more: &[&str], from: &str, to: &str) {
        let mut command = Command::new(&self.program);
        command.args([
            "--insecure-policy",
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ]);
        succeed(
            command
                .args(more)
                .args([from, to])
                .current_dir(self.folder.path()),
        );
    }
}

/// What one of the two has written is served by the other, byte by byte: OCI both ways, Docker's own kind as well.
fn each_serves_what_the_other_wrote(skopeo: &Skopeo, ours: &Server, theirs: &Distribution) {
    let digest = skopeo.push(3, &ours.reference("team/ours:1.0"), &["--preserve-digests"]);
    assert_eq!(
        skopeo.pull(&theirs.reference("team/ours:1.0")),
        digest,
        "{}",
        theirs.log()
    );
    let digest = skopeo.push(
        4,
        &theirs.reference("team/theirs:1.0"),
        &["--preserve-digests"],
    );
    assert_eq!(
        skopeo.pull(&ours.reference("team/theirs:1.0")),
        digest,
        "{}",
        ours.log()
    );
    skopeo.push(5, &ours.reference("team/v2s2:1.0"), &["--format", "v2s2"]);
    let digest = skopeo.digest(&ours.reference("team/v2s2:1.0"));
    assert_eq!(skopeo.digest(&theirs.reference("team/v2s2:1.0")), digest);
    assert!(!skopeo.digest(&theirs.reference("team/ours:1.0")).is_empty());
}

#[test]
fn distribution_and_we_serve_each_others_folder() {
    let test = "distribution 2.8 on our folder";
    let Some(skopeo) = Skopeo::find(test) else {
        return;
    };
    let data = tempfile::tempdir().expect("a folder");
    let root = data.path().to_str().expect("text");
    let Some(theirs) = Distribution::start(
        test,
        &format!("{{filesystem: {{rootdirectory: '{root}'}}}}"),
    ) else {
        return;
    };
    let ours = Server::start(&[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root)]);
    each_serves_what_the_other_wrote(&skopeo, &ours, &theirs);
    assert!(
        Path::new(root)
            .join("docker/registry/v2/repositories/team/ours/_manifests")
            .is_dir()
    );
}

#[tokio::test]
async fn distribution_and_we_serve_each_others_bucket() {
    let test = "distribution 2.8 on our bucket";
    let Some(skopeo) = Skopeo::find(test) else {
        return;
    };
    let Some(s3) = S3Server::moto(test).await else {
        return;
    };
    let endpoint = s3.config().endpoint.expect("an endpoint").to_string();
    let storage = format!(
        "{{s3: {{accesskey: {ACCESS_KEY}, secretkey: {SECRET_KEY}, region: us-east-1, bucket: {BUCKET}, \
         regionendpoint: '{endpoint}', secure: false}}, redirect: {{disable: true}}}}"
    );
    let Some(theirs) = Distribution::start(test, &storage) else {
        return;
    };
    // The variables of the well-known guide, and the endpoint.
    let ours = Server::start(&[
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_ACCESSKEY", ACCESS_KEY),
        ("REGISTRY_STORAGE_S3_SECRETKEY", SECRET_KEY),
        ("REGISTRY_STORAGE_S3_BUCKET", BUCKET),
        ("REGISTRY_STORAGE_S3_REGION", "us-east-1"),
        ("REGISTRY_STORAGE_S3_REGIONENDPOINT", &endpoint),
    ]);
    each_serves_what_the_other_wrote(&skopeo, &ours, &theirs);
}
