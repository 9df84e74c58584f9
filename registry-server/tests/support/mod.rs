//! Real S3 servers for tests, each a process of its own on a port of its own.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use aws_sdk_s3::config::{BehaviorVersion, Credentials as Keys, Region};
use moorage_registry_server::store::{
    PartSize, Prefix,
    s3::{Addressing, Credentials, S3Config},
};
use tempfile::TempDir;
use url::Url;

use crate::programs::program;

pub(crate) const BUCKET: &str = "moorage-test";
pub(crate) const ACCESS_KEY: &str = "test-access-key";
pub(crate) const SECRET_KEY: &str = "test-secret-key";

/// A server that has [`BUCKET`]; stopped when dropped.
pub(crate) struct S3Server {
    process: Child,
    endpoint: Url,
    folder: TempDir,
    roots: AtomicU32,
}

impl S3Server {
    /// moto, AWS in memory, with the repairs of `tests/tools/moto`. `None`, having said so, where it is not installed.
    pub(crate) async fn moto(test: &str) -> Option<Self> {
        let program = PathBuf::from(program(test, "MOORAGE_MOTO_SERVER", "moto_server")?);
        // Beside moto's own program there is the Python that it is installed in, if it has one of its own.
        let own = program.with_file_name("python3");
        let python = if own.is_file() {
            own
        } else {
            PathBuf::from("python3")
        };
        let repaired = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tools/moto/server.py");
        let arguments = |port: u16, _: &OsStr| {
            vec![
                repaired.into(),
                "--host".into(),
                "127.0.0.1".into(),
                "--port".into(),
                port.to_string().into(),
            ]
        };
        Some(Self::start(python.as_os_str(), arguments).await)
    }

    /// versitygw, S3 over a folder. `None`, having said so, where it is not installed.
    pub(crate) async fn versitygw(test: &str) -> Option<Self> {
        let program = program(test, "MOORAGE_VERSITYGW", "versitygw")?;
        let arguments = |port: u16, folder: &OsStr| {
            let address = format!("127.0.0.1:{port}");
            let options = [
                "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--port", &address, "posix",
            ];
            let mut arguments: Vec<OsString> = options.into_iter().map(Into::into).collect();
            arguments.push(folder.into());
            arguments
        };
        Some(Self::start(&program, arguments).await)
    }

    /// The bucket, reached as this server wants it, with a root of its own each time.
    pub(crate) fn config(&self) -> S3Config {
        let root = self.roots.fetch_add(1, Ordering::Relaxed);
        S3Config {
            root: Prefix::new(format!("test {root}/root")).expect("a prefix"),
            part_size: PartSize::SMALLEST,
            credentials: Credentials::AccessKey {
                id: ACCESS_KEY.to_owned(),
                secret: SECRET_KEY.into(),
                session_token: None,
            },
            region: Some("us-east-1".to_owned()),
            endpoint: Some(self.endpoint.clone()),
            addressing: Addressing::Path,
            ..S3Config::new(BUCKET)
        }
    }

    /// Makes a user with this policy in moto, and from then on has every call judged by IAM. Yields the user's credentials.
    pub(crate) async fn enforce(&self, policy: &str) -> Credentials {
        self.iam(&[("Action", "CreateUser"), ("UserName", "registry")])
            .await;
        let document = [("PolicyName", "registry"), ("PolicyDocument", policy)];
        self.iam(
            &[
                &[("Action", "PutUserPolicy"), ("UserName", "registry")][..],
                &document[..],
            ]
            .concat(),
        )
        .await;
        let answer = self
            .iam(&[("Action", "CreateAccessKey"), ("UserName", "registry")])
            .await;
        let element = |name: &str| {
            let value = answer
                .split_once(&format!("<{name}>"))
                .and_then(|(_, rest)| rest.split_once('<'));
            value
                .unwrap_or_else(|| panic!("no {name} in {answer}"))
                .0
                .to_owned()
        };
        let (id, secret) = (element("AccessKeyId"), element("SecretAccessKey").into());
        let judge = self.endpoint.join("moto-api/reset-auth").expect("a URL");
        let request = reqwest::Client::new()
            .post(judge)
            .header("content-type", "text/plain")
            .body("0");
        request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("enforced");
        Credentials::AccessKey {
            id,
            secret,
            session_token: None,
        }
    }

    async fn iam(&self, parameters: &[(&str, &str)]) -> String {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let request = reqwest::Client::new()
            .post(self.endpoint.clone())
            .body(body);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            // moto finds the service in what would be signed.
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request",
            );
        let answer = request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("an answer of IAM");
        answer.text().await.expect("an answer of IAM")
    }

    /// A client without anything of ours in between.
    pub(crate) fn client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Keys::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .endpoint_url(self.endpoint.as_str())
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    async fn start(program: &OsStr, arguments: impl Fn(u16, &OsStr) -> Vec<OsString>) -> Self {
        let mut last = String::new();
        // A port that was free may be taken before the server has it.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0")
                .expect("a port")
                .local_addr()
                .expect("an address")
                .port();
            let folder = tempfile::tempdir().expect("a folder");
            let data = folder.path().join("data");
            fs::create_dir(&data).expect("a folder");
            let log = fs::File::create(folder.path().join("log")).expect("a log");
            let process = Command::new(program)
                .args(arguments(port, data.as_os_str()))
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a log"))
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
            let endpoint = format!("http://127.0.0.1:{port}").parse().expect("a URL");
            let mut server = Self {
                process,
                endpoint,
                folder,
                roots: AtomicU32::new(0),
            };
            match server.until_ready().await {
                Ok(()) => return server,
                Err(why) => last = format!("{why}; its log:\n{}", server.log()),
            }
        }
        panic!("{} does not serve: {last}", program.display());
    }

    /// Waits until the server has made the bucket.
    async fn until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let made = self.client().create_bucket().bucket(BUCKET).send().await;
            let Err(error) = made else { return Ok(()) };
            if let Some(status) = self.process.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("it has ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("it does not make a bucket: {error:?}"));
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
