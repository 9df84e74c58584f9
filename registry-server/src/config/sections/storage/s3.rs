//! `storage.s3`: the parameters of distribution's S3 driver, as a [`S3Config`].

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    config::reader::{Reader, Show},
    store::{
        PartSize, Prefix,
        s3::{Addressing, Credentials, Encryption, S3Config},
    },
};

/// Slowest connection to the store on which an upload succeeds, in bytes a second: 2 Mbit/s. A part must arrive within one attempt.
const SLOWEST: u64 = 256 * 1024;

pub(super) fn read(reader: &mut Reader<'_>, redirect: bool) -> Option<S3Config> {
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
    let part_size = part_size(reader);
    let root = root(reader);
    let path_style = reader.flag("storage.s3.forcepathstyle", endpoint.is_some());
    let accelerate = reader.flag("storage.s3.accelerate", false);
    if accelerate && path_style {
        reader.problem(
            "storage.s3.accelerate",
            "accelerated endpoints have the bucket in the host name: set forcepathstyle to false",
        );
    }
    let mut config = S3Config::new(bucket?);
    config.region = Some(region?);
    config.endpoint = endpoint;
    config.redirect_endpoint = redirect_endpoint;
    config.addressing = if path_style {
        Addressing::Path
    } else {
        Addressing::VirtualHost
    };
    config.credentials = credentials?;
    config.root = root;
    config.part_size = part_size;
    config.encryption = encryption(reader);
    config.storage_class = storage_class(reader);
    config.acl = acl(reader);
    config.user_agent = reader.text("storage.s3.useragent");
    config.presign = redirect;
    config.dual_stack = reader.flag("storage.s3.usedualstack", false);
    config.accelerate = accelerate;
    config.attempt_timeout = config
        .attempt_timeout
        .max(Duration::from_secs(part_size.get() / SLOWEST));
    Some(config)
}

fn part_size(reader: &mut Reader<'_>) -> PartSize {
    let range = PartSize::MIN..=PartSize::MAX;
    let bytes = reader.number("storage.s3.chunksize", PartSize::DEFAULT.get(), range);
    PartSize::new(bytes).unwrap_or(PartSize::DEFAULT)
}

fn root(reader: &mut Reader<'_>) -> Prefix {
    reader.parsed_or("storage.s3.rootdirectory", Prefix::root(), "", |text| {
        Prefix::new(text.trim_matches('/')).map_err(|error| error.to_string())
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
        let secret = reader.parsed(path, Show::Masked, |text| Ok(SecretString::from(text)));
        secret.filter(|secret| !secret.expose_secret().is_empty())
    };
    let id = reader.text("storage.s3.accesskey");
    let key = secret(reader, "storage.s3.secretkey");
    let session_token = secret(reader, "storage.s3.sessiontoken");
    match (id, key) {
        (Some(id), Some(secret)) => Some(Credentials::AccessKey {
            id,
            secret,
            session_token,
        }),
        (None, None) => {
            reader.note(
                "storage.s3.accesskey",
                "(from the environment, the web identity, the container or the instance)",
            );
            Some(Credentials::Chain)
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
    if reader.flag("storage.s3.usefipsendpoint", false) {
        reader.problem(
            "storage.s3.usefipsendpoint",
            "is not supported yet: name the endpoint, such as https://s3-fips.us-east-1.amazonaws.com, in regionendpoint, and set \
             forcepathstyle to false",
        );
    }
    if !secure && !has_endpoint {
        reader.problem("storage.s3.secure", "AWS is only spoken to with TLS: with a store of your own set regionendpoint to its http:// address");
    }
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

fn encryption(reader: &mut Reader<'_>) -> Encryption {
    let encrypt = reader.flag("storage.s3.encrypt", false);
    match (encrypt, reader.text("storage.s3.keyid")) {
        (true, Some(key_id)) => Encryption::Kms { key_id },
        (true, None) => Encryption::Aes256,
        (false, None) => Encryption::BucketDefault,
        (false, Some(_)) => {
            reader.problem(
                "storage.s3.keyid",
                "has no effect without encrypt: set storage.s3.encrypt to true",
            );
            Encryption::BucketDefault
        }
    }
}
