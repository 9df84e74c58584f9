//! The real [`Aws`] against moto, a stand-in for AWS that enforces IAM: the operator holds exactly the policy that is shipped.
//!
//! Where moto differs from AWS, `tests/tools/moto/server.py` makes up for the difference, so that the cases are about AWS and the
//! shipped policy is enforced as it stands.

use std::{
    collections::BTreeSet,
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{
    Credentials,
    credential_fn::provide_credentials_fn,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Aws, Cloud, Error, Kind, Step, conformance};

const REPAIRED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tools/moto/server.py");
const SHIPPED_POLICY: &str = include_str!("../../deploy/aws-policy.json");
const FOREIGN_BUCKET: &str = "bucket-of-somebody-else";

mod compatible;
mod stage;

/// A moto of one's own, which ends with the test.
struct Moto {
    server: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Nothing to be done about a server that has ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "where moto is, and whether it may be missing, is the business of whoever runs the tests"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The Python that moto is installed in: the one beside moto's own program. `None`, loudly, where there is no moto; a failure where
/// there has to be one.
fn python_of_moto(test: &str) -> Option<PathBuf> {
    let in_path = || {
        let path = variable("PATH").unwrap_or_default();
        env::split_paths(&path)
            .map(|folder| folder.join("moto_server"))
            .find(|program| program.is_file())
    };
    let program = variable("MOORAGE_MOTO_SERVER")
        .map(PathBuf::from)
        .or_else(in_path);
    let Some(program) = program else {
        let reason = "moto_server is neither in PATH nor named by MOORAGE_MOTO_SERVER";
        eprintln!("LEFT OUT: {test} because {reason}");
        assert!(
            variable("CI").as_deref() != Some("true"),
            "with CI=true no test may be left out: {test}, because {reason}"
        );
        return None;
    };
    let own = program.with_file_name("python3");
    Some(if own.is_file() { own } else { "python3".into() })
}

impl Moto {
    /// `None`, loudly, where there is no moto; a failure where there has to be one.
    async fn start(test: &str) -> Option<Self> {
        let python = python_of_moto(test)?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = TempDir::new().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new(&python)
            .args([REPAIRED, "--host", "127.0.0.1"])
            .args(["--port", &address.port().to_string()])
            // AWS answers 403 about a bucket of another account; moto does only when asked to.
            .env("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
        let mut moto = Self {
            server,
            address,
            folder,
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(error) = moto.post("/moto-api/reset", "").await {
            let ended = moto.server.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "moto does not answer on {address}: {error} ({ended:?}); its log:\n{}",
                fs::read_to_string(moto.folder.path().join("log")).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(moto)
    }

    async fn post(&self, path: &str, body: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: moto\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        );
        stream
            .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        Ok(())
    }

    async fn config(&self, credentials: impl ProvideCredentials + 'static) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region("eu-west-1")
            .endpoint_url(format!("http://{}", self.address))
            .credentials_provider(credentials)
            .load()
            .await
    }

    /// A user with this policy, and its key.
    async fn user(&self, admin: &SdkConfig, name: &str, policy: &Value) -> Credentials {
        let iam = aws_sdk_iam::Client::new(admin);
        iam.create_user().user_name(name).send().await.unwrap();
        let request = iam
            .put_user_policy()
            .user_name(name)
            .policy_name("all")
            .policy_document(policy.to_string());
        request.send().await.unwrap();
        let key = iam
            .create_access_key()
            .user_name(name)
            .send()
            .await
            .unwrap()
            .access_key
            .unwrap();
        Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test")
    }

    async fn enforce_policies(&self) {
        self.post("/moto-api/reset-auth", "0").await.unwrap();
    }
}

/// A policy that allows everything.
fn everything() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
}

fn actions(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let of_statement = |statement: &Value| match &statement["Action"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many
            .iter()
            .map(|action| action.as_str().unwrap().to_owned())
            .collect(),
        other => panic!("{other}"),
    };
    policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(of_statement)
        .collect()
}

/// moto with a person who may do everything, and the operator, who may do what is shipped.
struct Account {
    _moto: Moto,
    aws: Aws,
    person: SdkConfig,
}

impl Account {
    async fn open(test: &str, policy: &Value) -> Option<Self> {
        let moto = Moto::start(test).await?;
        let nobody = moto
            .config(Credentials::new(
                "AKIANOBODY0000000000",
                "none",
                None,
                None,
                "test",
            ))
            .await;
        let person = moto.user(&nobody, "person", &everything()).await;
        let operator = moto.user(&nobody, "operator", policy).await;
        let request = s3(&nobody)
            .create_bucket()
            .bucket(FOREIGN_BUCKET)
            .create_bucket_configuration(located("eu-west-1"));
        let other_account = |request: &mut aws_sdk_s3::config::http::HttpRequest| {
            request
                .headers_mut()
                .insert("x-moto-account-id", "999999999999");
        };
        request
            .customize()
            .mutate_request(other_account)
            .send()
            .await
            .unwrap();
        moto.enforce_policies().await;
        let aws = Aws::with_config(moto.config(operator).await);
        let person = moto.config(person).await;
        Some(Self {
            _moto: moto,
            aws,
            person,
        })
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.person)
    }
}

fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

fn located(region: &str) -> CreateBucketConfiguration {
    CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::from(region))
        .build()
}

/// Actions that the code does not call by name: a call that puts tags on what it creates needs them, and so does deleting a batch.
const IMPLIED: [&str; 3] = ["iam:TagPolicy", "s3:DeleteObject", "s3:TagResource"];

/// Least privilege, both ways: nothing that is called is missing, and nothing that is not called is in it.
#[tokio::test]
async fn the_real_cloud_does_what_a_cloud_does_with_exactly_the_policy_that_is_shipped() {
    let shipped = serde_json::from_str(SHIPPED_POLICY).unwrap();
    let Some(account) = Account::open("the conformance of the real cloud", &shipped).await else {
        return;
    };
    conformance::run(&account).await;
    let mut called: BTreeSet<_> = account
        .aws
        .actions
        .lock()
        .unwrap()
        .iter()
        .map(|action| (*action).to_owned())
        .collect();
    called.extend(IMPLIED.map(str::to_owned));
    let difference: Vec<_> = called
        .symmetric_difference(&actions(SHIPPED_POLICY))
        .cloned()
        .collect();
    assert_eq!(
        difference,
        Vec::<String>::new(),
        "called or shipped, but not both"
    );
}

#[tokio::test]
async fn a_denied_call_names_the_action_and_the_statement_that_would_allow_it() {
    let may_look = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iam:GetUser", "s3:GetBucketLocation"], "Resource": "*"},
    ]});
    let Some(account) = Account::open("what a denied call says", &may_look).await else {
        return;
    };
    let want = conformance::wanted("denied");
    let policy = want.policy_arn(&"123456789012".parse().unwrap(), &want.owner.user_name());
    assert_eq!(
        account.aws.observe(&want).await.unwrap_err().kind,
        denied("iam:ListPolicyVersions", &policy)
    );
    let create = Step::CreateBucket {
        bucket: want.bucket.name.clone(),
        region: want.bucket.region.clone(),
        tags: want.owner.tags(),
    };
    let error = account.aws.carry_out(&want, &create).await.unwrap_err();
    assert_eq!(
        error.kind,
        denied("s3:CreateBucket", "arn:aws:s3:::bucket-of-denied")
    );
    assert_eq!(
        error.to_string(),
        "failed to carry out s3:CreateBucket on arn:aws:s3:::bucket-of-denied: permission denied; this policy statement would \
         allow it: {\"Action\":\"s3:CreateBucket\",\"Effect\":\"Allow\",\"Resource\":\"arn:aws:s3:::bucket-of-denied\"}"
    );
    let again = account.aws.carry_out(&want, &create).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        again.to_string(),
        "the message is the same each time"
    );
}

fn denied(action: &str, resource: &str) -> Kind {
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource}).to_string();
    Kind::Denied {
        action: action.to_owned(),
        statement,
    }
}

#[tokio::test]
async fn unknown_and_missing_credentials_are_told_apart() {
    let Some(moto) = Moto::start("what credentials that are missing or wrong say").await else {
        return;
    };
    moto.enforce_policies().await;
    let want = conformance::wanted("anonymous");
    let unknown = Credentials::new(
        "AKIAUNKNOWN000000000",
        "secret-that-nobody-knows",
        None,
        None,
        "test",
    );
    let error = Aws::with_config(moto.config(unknown).await)
        .observe(&want)
        .await
        .unwrap_err();
    assert!(
        matches!(&error.kind, Kind::BadCredentials { .. }),
        "{error} {}",
        error.detail
    );
    assert!(!format!("{error:?}").contains("secret-that-nobody-knows"));
    // What the SDK's default chain ends with when it has found nothing.
    let missing = provide_credentials_fn(async || {
        Err(CredentialsError::not_loaded(
            "no providers in chain provided credentials",
        ))
    });
    let error = Aws::with_config(moto.config(missing).await)
        .observe(&want)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::NoCredentials, "{}", error.detail);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_unavailable() {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region("eu-west-1")
        // Nothing listens on the port "discard" of this machine.
        .endpoint_url("http://127.0.0.1:9")
        .credentials_provider(Credentials::new("AKIA", "secret", None, None, "test"))
        .load()
        .await;
    let error: Error = Aws::with_config(config)
        .observe(&conformance::wanted("unreachable"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{}", error.detail);
}
