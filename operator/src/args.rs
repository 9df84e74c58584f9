//! The command line and the environment, parsed once.

#![expect(
    clippy::doc_markdown,
    reason = "the documentation of an option is what `--help` prints, where backticks are noise"
)]

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};

use crate::aws::{ClusterId, Region};

/// Image of the registry server that was released with this operator.
pub const SERVER_IMAGE: &str = concat!(
    "ghcr.io/moorage-dev/registry-server:",
    env!("CARGO_PKG_VERSION")
);

/// Watches every ContainerRegistry of the cluster and makes, keeps and removes what it asks for, in Kubernetes and in AWS.
///
/// In a pod it uses the pod's service account; elsewhere the current context of your kubeconfig. AWS credentials come from the
/// usual places: a role of the service account, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the node.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "moorage-operator",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// What to do. Default: run.
    #[arg(value_enum, default_value_t = Command::Run, value_name = "COMMAND")]
    pub command: Command,

    /// Name of this cluster: lower-case letters, digits and hyphens. It is part of the names and tags of everything made in AWS,
    /// so it must never change, and two clusters that share an AWS account need different ones.
    #[arg(long, env = "MOORAGE_CLUSTER_ID", value_name = "NAME")]
    pub cluster_id: ClusterId,

    /// Image of the registry server, for every ContainerRegistry that does not name one.
    #[arg(long, env = "MOORAGE_SERVER_IMAGE", value_name = "IMAGE", default_value = SERVER_IMAGE)]
    pub server_image: String,

    /// AWS region of buckets whose ContainerRegistry does not name one.
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub region: Option<Region>,

    /// How often AWS is looked at when nothing has changed: a number and s, m or h. Each registry gets its own moment, up to a
    /// fifth earlier. A look costs at most ten reads. 1m to 24h.
    #[arg(long, env = "MOORAGE_RESYNC_PERIOD", value_name = "TIME", default_value = "30m", value_parser = period)]
    pub resync_period: Duration,

    /// How many registries are worked on at the same time, 1 to 100.
    #[arg(long, env = "MOORAGE_CONCURRENCY", value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub concurrency: u16,

    /// Where /livez and /readyz answer.
    #[arg(
        long,
        env = "MOORAGE_HEALTH_ADDRESS",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub health_address: SocketAddr,

    /// URL under which the registry's pods reach S3, when it is not AWS's own: a VPC endpoint, or a stand-in for tests.
    /// Default: AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL, when the operator itself uses one.
    #[arg(long, env = "MOORAGE_SERVER_S3_ENDPOINT", value_name = "URL")]
    pub server_s3_endpoint: Option<String>,

    /// What the operator itself uses for S3; read by the AWS SDK too.
    #[arg(long, env = "AWS_ENDPOINT_URL_S3", hide = true)]
    pub aws_endpoint_url_s3: Option<String>,

    /// What the operator itself uses for all of AWS; read by the AWS SDK too.
    #[arg(long, env = "AWS_ENDPOINT_URL", hide = true)]
    pub aws_endpoint_url: Option<String>,

    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Args {
    /// The endpoint that pods get for S3 when the spec does not say.
    #[must_use]
    pub fn endpoint_for_pods(&self) -> Option<String> {
        let candidates = [
            &self.server_s3_endpoint,
            &self.aws_endpoint_url_s3,
            &self.aws_endpoint_url,
        ];
        // A variable that is set to nothing says nothing.
        candidates
            .into_iter()
            .flatten()
            .find(|url| !url.is_empty())
            .cloned()
    }
}

/// What the program can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Watch and reconcile until told to stop.
    Run,
}

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// How much is logged: error, warn, info, debug or trace; or per module, as in `info,moorage_operator=debug`.
    #[arg(
        long,
        env = "MOORAGE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,

    /// Form of the log.
    #[arg(long, env = "MOORAGE_LOG_FORMAT", value_enum, value_name = "FORM", default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For machines: one JSON object per line.
    Json,
    /// For people.
    Text,
}

/// `90s`, `30m`, `2h`.
fn period(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 90s, 30m or 2h, from 1m to 24h");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(wrong)?;
    (60..=86_400)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["moorage-operator"].iter().chain(arguments))
    }

    #[rstest]
    #[case("90s", 90)]
    #[case("30m", 1800)]
    #[case("24h", 86_400)]
    fn a_period_is_a_number_and_a_unit(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(period(text), Ok(Duration::from_secs(seconds)));
    }

    #[rstest]
    fn a_period_that_is_none_is_refused(
        #[values("", "m", "30", "59s", "25h", "-1m", "1d", "30 m", "é")] text: &str,
    ) {
        period(text).expect_err("it is no period, or out of bounds");
    }

    #[test]
    fn run_is_what_it_does_unless_told_otherwise() {
        let args = parse(&["--cluster-id", "test"]).expect("the cluster id is enough");
        assert_eq!(
            (args.command, args.resync_period),
            (Command::Run, Duration::from_mins(30))
        );
        assert_eq!(
            parse(&["run", "--cluster-id", "test"])
                .expect("run is a command")
                .command,
            Command::Run
        );
    }

    #[test]
    fn a_cluster_id_that_iam_would_refuse_is_refused_here() {
        let error =
            parse(&["--cluster-id", "My Cluster"]).expect_err("spaces and capitals are refused");
        assert!(
            error
                .to_string()
                .contains("lower-case letters, digits and hyphens"),
            "{error}"
        );
    }

    #[test]
    fn pods_get_the_endpoint_that_the_operator_itself_uses() {
        let with = |more: &[&str]| {
            parse(&[&["--cluster-id", "test"], more].concat())
                .expect("it parses")
                .endpoint_for_pods()
        };
        assert_eq!(
            with(&[
                "--aws-endpoint-url",
                "http://a",
                "--aws-endpoint-url-s3",
                "http://b"
            ]),
            Some("http://b".to_owned())
        );
        assert_eq!(
            with(&[
                "--aws-endpoint-url-s3",
                "http://b",
                "--server-s3-endpoint",
                "http://c"
            ]),
            Some("http://c".to_owned())
        );
        assert_eq!(with(&["--aws-endpoint-url", ""]), None);
        assert_eq!(
            with(&["--aws-endpoint-url", "http://a", "--server-s3-endpoint", ""]),
            Some("http://a".to_owned())
        );
    }
}
