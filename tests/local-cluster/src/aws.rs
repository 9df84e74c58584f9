//! The AWS stand-in: moto, filled with an account to live in, with IAM enforcement on.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    AccessKey, Aws, Tool, http,
    info::write_private,
    location::text,
    process::{clean_command, output},
    progress::Seen,
    tools::moto_source,
    up::Up,
};

/// The name by which the AWS cloud controller recognises its own: the tag `kubernetes.io/cluster/<id>`.
const CLUSTER_ID: &str = "moorage";
/// moto imports most of itself at the start.
const PATIENCE: Duration = Duration::from_secs(90);

/// What seed.py answers.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Seeded {
    pub(crate) region: String,
    pub(crate) zone: String,
    account_id: String,
    admin: AccessKey,
    operator: AccessKey,
    pub(crate) cloud_controller: AccessKey,
    other_account_id: String,
    other_account: AccessKey,
    acm_certificate_arn: String,
    iam_certificate_arn: String,
    pub(crate) vpc_id: String,
    pub(crate) subnet_id: String,
    pub(crate) instance_id: String,
    /// The policy that the operator's user has now.
    #[serde(default)]
    operator_policy: Value,
}

impl Seeded {
    pub(crate) fn describe(&self, up: &Up<'_>) -> Result<Aws> {
        let Self {
            region,
            zone: _,
            account_id,
            admin,
            operator,
            cloud_controller: _,
            other_account_id,
            other_account,
            acm_certificate_arn,
            iam_certificate_arn,
            vpc_id,
            subnet_id,
            instance_id,
            operator_policy: _,
        } = self.clone();
        Ok(Aws {
            access_log: up.location.logs().join("moto.log"),
            endpoint: up.plan.moto(),
            region,
            account_id,
            admin,
            operator,
            other_account_id,
            other_account,
            acm_certificate_arn,
            iam_certificate_arn,
            registry_certificate: up.pki.registry_certificate(),
            registry_key: up.pki.registry_key(),
            cluster_id: CLUSTER_ID.to_owned(),
            vpc_id,
            subnet_id,
            instance_id,
            call: vec![
                text(&Tool::Moto.program(up.location))?.to_owned(),
                text(&moto_source(up.location, "call.py"))?.to_owned(),
            ],
        })
    }

    /// The cloud controller's configuration file. With VPC, subnet and cluster named, it asks no instance metadata.
    pub(crate) fn cloud_config(&self) -> String {
        format!(
            "[Global]\nRegion = {}\nZone = {}\nVPC = {}\nSubnetID = {}\nKubernetesClusterID = {CLUSTER_ID}\n",
            self.region, self.zone, self.vpc_id, self.subnet_id
        )
    }
}

/// Starts moto unless it runs. moto forgets everything when it ends, so that one without a record is started anew.
pub(crate) fn start(up: &mut Up<'_>) -> Result<bool> {
    let record = record(up);
    if !(up.processes.is_alive("moto") && record.is_file()) {
        up.processes.kill("moto")?;
        if record.is_file() {
            crate::progress::note(
                "moto had ended: its buckets and users are gone, the account is made anew",
            );
            fs::remove_file(&record)
                .with_context(|| format!("failed to remove {}", record.display()))?;
        }
    }
    let mut moto = clean_command(Tool::Moto.program(up.location));
    moto.arg(moto_source(up.location, "server.py"))
        .args(["--host", &up.plan.host_address()])
        .args(["--port", &up.plan.ports.moto.to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        // Without this every account may use every bucket.
        .env("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false");
    up.processes.ensure("moto", &mut moto)
}

fn record(up: &Up<'_>) -> PathBuf {
    up.location.state.join("aws.json")
}

/// Waits for moto, fills it when it is new, and gives the operator the wanted policy.
pub(crate) fn seed(up: &Up<'_>, policy: Option<&Path>) -> Result<Seeded> {
    let wanted = policy.map(read_policy).transpose()?;
    let address: SocketAddr =
        format!("{}:{}", up.plan.host_address(), up.plan.ports.moto).parse()?;
    up.processes.wait("moto", "moto to answer", PATIENCE, || {
        Ok(match http::get(address, "/moto-api/") {
            Ok((200, _)) => Seen::Done(()),
            Ok((status, _)) => Seen::NotYet(format!("status {status}")),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })?;
    let path = record(up);
    let seeded = if path.is_file() {
        let content =
            fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let mut seeded: Seeded = serde_json::from_slice(&content)?;
        match wanted {
            Some(policy) if policy != seeded.operator_policy => {
                change_policy(up, &seeded, &policy)?;
                seeded.operator_policy = policy;
            }
            _ => return Ok(seeded),
        }
        seeded
    } else {
        fill(up, wanted.unwrap_or_else(default_policy))?
    };
    write_private(&path, &serde_json::to_vec_pretty(&seeded)?)?;
    Ok(seeded)
}

fn fill(up: &Up<'_>, policy: Value) -> Result<Seeded> {
    let question = json!({
        "endpoint": up.plan.moto(),
        "cluster_id": CLUSTER_ID,
        "certificate": fs::read_to_string(up.pki.registry_certificate())?,
        "key": fs::read_to_string(up.pki.registry_key())?,
        "operator_policy": policy,
    });
    let mut command = python(up);
    let mut child = command
        .arg(moto_source(up.location, "seed.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run seed.py")?;
    // Through a pipe, because the private key must not appear among the arguments.
    child
        .stdin
        .take()
        .context("seed.py has no standard input")?
        .write_all(&serde_json::to_vec(&question)?)
        .context("failed to send seed.py its input")?;
    let answer = child.wait_with_output().context("failed to run seed.py")?;
    ensure!(
        answer.status.success(),
        "failed to fill moto: {}",
        String::from_utf8_lossy(&answer.stderr)
    );
    let mut seeded: Seeded =
        serde_json::from_slice(&answer.stdout).context("failed to understand seed.py's answer")?;
    seeded.operator_policy = policy;
    Ok(seeded)
}

fn change_policy(up: &Up<'_>, seeded: &Seeded, policy: &Value) -> Result<()> {
    let user = "moorage-operator";
    let aws = seeded.describe(up)?;
    let parameters = json!({
        "UserName": user,
        "PolicyName": user,
        "PolicyDocument": policy.to_string(),
    });
    call(&aws, &aws.admin, "iam", "put_user_policy", &parameters)
        .context("failed to change the operator's policy")?;
    Ok(())
}

/// Makes one AWS call with boto3's names.
pub(crate) fn call(
    aws: &Aws,
    key: &AccessKey,
    service: &str,
    operation: &str,
    parameters: &Value,
) -> Result<Value> {
    let Some((program, arguments)) = aws.call.split_first() else {
        bail!("cluster.json names no command for AWS calls");
    };
    let mut command = clean_command(program);
    command
        .args(arguments)
        .args([service, operation, &parameters.to_string()])
        .envs(aws.environment(key));
    let answer = output(&mut command)?;
    serde_json::from_str(&answer)
        .with_context(|| format!("failed to understand the answer of {service} {operation}"))
}

fn python(up: &Up<'_>) -> Command {
    let mut command = clean_command(Tool::Moto.program(up.location));
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn read_policy(path: &Path) -> Result<Value> {
    let content = fs::read(path)
        .with_context(|| format!("failed to read the operator's policy {}", path.display()))?;
    serde_json::from_slice(&content)
        .with_context(|| format!("{} is no JSON policy document", path.display()))
}

/// For those who want to try something and have no policy yet.
fn default_policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["s3:*", "iam:*", "acm:*", "sts:GetCallerIdentity"],
            "Resource": "*",
        }],
    })
}
