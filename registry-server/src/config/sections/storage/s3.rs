//! `storage.s3`: the parameters of distribution's S3 driver.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::reader::{Reader, Show};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// An access key of one's own, in place of the SDK's search for credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `accesskey`: not a secret, but nobody's business either.
    pub access_key: String,
    /// `secretkey`.
    pub secret_key: SecretString,
    /// `sessiontoken`, for temporary keys.
    pub session_token: Option<SecretString>,
}

/// The parameters of the S3 driver.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the configuration, and they combine freely"
)]
pub struct S3 {
    /// `bucket`.
    pub bucket: String,
    /// `region`.
    pub region: String,
    /// `accesskey` and `secretkey`. Without: environment, web identity (IRSA), Pod Identity, ECS, instance.
    pub credentials: Option<Credentials>,
    /// `rootdirectory`: prefix of all keys, without slashes at its ends. May be empty.
    pub root: String,
    /// `regionendpoint`: another server than AWS. With a scheme.
    pub endpoint: Option<Url>,
    /// `redirectendpoint`: the address under which clients reach the store, for presigned URLs.
    pub redirect_endpoint: Option<Url>,
    /// `forcepathstyle`: the bucket in the path and not in the host name. Default: with an endpoint of one's own, yes.
    pub path_style: bool,
    /// `encrypt` and `keyid`: server-side encryption asked for with each write.
    pub encryption: Option<Encryption>,
    /// `chunksize`: size of the parts of an upload, in bytes.
    pub part_size: u64,
    /// `multipartcopychunksize`, `multipartcopythresholdsize` and `multipartcopymaxconcurrency`.
    pub copy: Copying,
    /// `storageclass`; `None` leaves it to the bucket.
    pub storage_class: Option<String>,
    /// `objectacl`, where one was asked for. Buckets made since 2023 have no ACLs.
    pub acl: Option<String>,
    /// `useragent`: added to what the SDK says of itself.
    pub user_agent: Option<String>,
    /// `usedualstack`.
    pub dual_stack: bool,
    /// `accelerate`.
    pub accelerate: bool,
    /// `usefipsendpoint`.
    pub fips: bool,
}

/// How an object is copied within the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copying {
    /// Size of the parts of a copy, in bytes.
    pub part_size: u64,
    /// Up to here an object is copied in one call, in bytes.
    pub threshold: u64,
    /// Parts of one copy under way at once.
    pub concurrency: u64,
}

/// Server-side encryption that each write asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With S3's own keys: `AES256`.
    S3,
    /// With a key of KMS, by id, alias or ARN.
    Kms(String),
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<S3> {
    let secure = reader.flag("storage.s3.secure", true);
    let endpoint = endpoint(reader, "storage.s3.regionendpoint", secure);
    let redirect_endpoint = endpoint_without_path(reader, secure);
    let bucket = reader.text("storage.s3.bucket");
    if bucket.is_none() {
        reader.problem(
            "storage.s3.bucket",
            "must be set (REGISTRY_STORAGE_S3_BUCKET)",
        );
    }
    let region = region(reader, endpoint.is_some());
    let credentials = credentials(reader);
    switches(reader, secure, endpoint.is_some());
    let part_size = size(reader, "chunksize", 10 * MIB);
    let copy = copying(reader);
    let root = root(reader);
    let path_style = reader.flag("storage.s3.forcepathstyle", endpoint.is_some());
    let storage_class = storage_class(reader);
    let acl = acl(reader);
    let encryption = encryption(reader);
    let user_agent = reader.text("storage.s3.useragent");
    let dual_stack = reader.flag("storage.s3.usedualstack", false);
    let accelerate = reader.flag("storage.s3.accelerate", false);
    let fips = reader.flag("storage.s3.usefipsendpoint", false);
    if accelerate && path_style {
        reader.problem(
            "storage.s3.accelerate",
            "accelerated endpoints have the bucket in the host name: set forcepathstyle to false",
        );
    }
    Some(S3 {
        bucket: bucket?,
        region: region?,
        credentials,
        root,
        endpoint,
        redirect_endpoint,
        path_style,
        encryption,
        part_size,
        copy,
        storage_class,
        acl,
        user_agent,
        dual_stack,
        accelerate,
        fips,
    })
}

fn copying(reader: &mut Reader<'_>) -> Copying {
    Copying {
        part_size: size(reader, "multipartcopychunksize", 32 * MIB),
        threshold: reader.number(
            "storage.s3.multipartcopythresholdsize",
            32 * MIB,
            0..=5 * GIB,
        ),
        concurrency: reader.number("storage.s3.multipartcopymaxconcurrency", 100, 1..=1000),
    }
}

fn root(reader: &mut Reader<'_>) -> String {
    reader.parsed_or("storage.s3.rootdirectory", String::new(), "", |text| {
        let root = text.trim_matches('/');
        if root.split('/').any(|part| part == "." || part == "..") || root.contains("//") {
            return Err(format!("{text:?} has a part that is empty, `.` or `..`"));
        }
        Ok(root.to_owned())
    })
}

/// The region signs every request. A store of one's own seldom cares which, so there is a default for it.
fn region(reader: &mut Reader<'_>, has_endpoint: bool) -> Option<String> {
    let path = "storage.s3.region";
    if reader.node(path).is_none() {
        if has_endpoint {
            reader.note(path, "us-east-1");
            return Some("us-east-1".to_owned());
        }
        reader.problem(
            path,
            "must be set (REGISTRY_STORAGE_S3_REGION), for example eu-central-1",
        );
    }
    reader.parsed(path, Show::Plainly, |text| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        // The value goes into the host name of every request.
        if has_endpoint || (text.contains('-') && text.chars().all(fits)) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "{text:?} is not the name of an AWS region such as eu-central-1"
            ))
        }
    })
}

fn credentials(reader: &mut Reader<'_>) -> Option<Credentials> {
    let secret = |reader: &mut Reader<'_>, path| {
        reader
            .parsed(path, Show::Masked, |text| Ok(SecretString::from(text)))
            .filter(|secret| !secret.expose_secret().is_empty())
    };
    let access_key = reader.text("storage.s3.accesskey");
    let secret_key = secret(reader, "storage.s3.secretkey");
    let session_token = secret(reader, "storage.s3.sessiontoken");
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => Some(Credentials {
            access_key,
            secret_key,
            session_token,
        }),
        (None, None) => {
            reader.note(
                "storage.s3.accesskey",
                "(from the environment, the web identity, the container or the instance)",
            );
            None
        }
        (Some(_), None) => {
            reader.problem(
                "storage.s3.secretkey",
                "must be set too, or accesskey must not be",
            );
            None
        }
        (None, Some(_)) => {
            reader.problem(
                "storage.s3.accesskey",
                "must be set too, or secretkey must not be",
            );
            None
        }
    }
}

/// Switches that have only one position here.
fn switches(reader: &mut Reader<'_>, secure: bool, has_endpoint: bool) {
    if reader.flag("storage.s3.skipverify", false) {
        reader.problem(
            "storage.s3.skipverify",
            "an unverified certificate is no protection: name the issuing authority's file in AWS_CA_BUNDLE, or use an http:// endpoint",
        );
    }
    if !reader.flag("storage.s3.v4auth", true) {
        reader.problem(
            "storage.s3.v4auth",
            "signature version 2 is not supported: AWS has switched it off",
        );
    }
    if !secure && !has_endpoint {
        reader.problem("storage.s3.secure", "AWS is only spoken to with TLS: with a store of your own set regionendpoint to its http:// address");
    }
}

fn size(reader: &mut Reader<'_>, name: &str, default: u64) -> u64 {
    reader.number(&format!("storage.s3.{name}"), default, 5 * MIB..=5 * GIB)
}

fn endpoint(reader: &mut Reader<'_>, path: &str, secure: bool) -> Option<Url> {
    reader.node(path)?;
    reader.parsed(path, Show::Plainly, |text| {
        // Distribution takes a host alone and lets `secure` choose the scheme.
        let scheme = if secure { "https" } else { "http" };
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("{scheme}://{text}")
        };
        let url = Url::parse(&text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{text:?} is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user or password in it: use accesskey and secretkey".to_owned());
        }
        Ok(url)
    })
}

fn endpoint_without_path(reader: &mut Reader<'_>, secure: bool) -> Option<Url> {
    let path = "storage.s3.redirectendpoint";
    let url = endpoint(reader, path, secure)?;
    if url.path() != "/" || url.query().is_some() {
        reader.problem(
            path,
            "has a path or a query: only scheme, host and port can be exchanged in a signed URL",
        );
        return None;
    }
    Some(url)
}

fn storage_class(reader: &mut Reader<'_>) -> Option<String> {
    const CLASSES: [&str; 8] = [
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "OUTPOSTS",
        "GLACIER_IR",
        "EXPRESS_ONEZONE",
    ];
    let class = reader.parsed("storage.s3.storageclass", Show::Plainly, |text| {
        let class = text.to_ascii_uppercase();
        if class == "NONE" || CLASSES.contains(&class.as_str()) {
            Ok(class)
        } else {
            Err(format!(
                "{text:?} is not a storage class: {} and NONE are",
                CLASSES.join(", ")
            ))
        }
    })?;
    (class != "NONE").then_some(class)
}

fn acl(reader: &mut Reader<'_>) -> Option<String> {
    const ACLS: [&str; 7] = [
        "private",
        "public-read",
        "public-read-write",
        "aws-exec-read",
        "authenticated-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    ];
    reader.parsed("storage.s3.objectacl", Show::Plainly, |text| {
        if ACLS.contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "{text:?} is not a canned ACL: {} are",
                ACLS.join(", ")
            ))
        }
    })
}

fn encryption(reader: &mut Reader<'_>) -> Option<Encryption> {
    let encrypt = reader.flag("storage.s3.encrypt", false);
    let key = reader.text("storage.s3.keyid");
    match (encrypt, key) {
        (true, Some(key)) => Some(Encryption::Kms(key)),
        (true, None) => Some(Encryption::S3),
        (false, Some(_)) => {
            reader.problem(
                "storage.s3.keyid",
                "has no effect without encrypt: set storage.s3.encrypt to true",
            );
            None
        }
        (false, None) => None,
    }
}
