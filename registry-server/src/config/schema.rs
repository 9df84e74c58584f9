//! Every key a configuration of distribution 2.8 or 3.x can have, and one of ours (`http.draindelay`), and what becomes of it here.
//!
//! A key is honoured, or it is refused, or it is said to have no effect: none is passed over in silence. What the values of honoured
//! keys mean is `sections`.

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does what it does in distribution.
    Honoured,
    /// It is accepted, and what it is for is had without it, for this reason.
    NotNeeded(&'static str),
    /// It is accepted and changes nothing, for this reason. Saying it costs a warning.
    WithoutEffect(&'static str),
    /// The server would not be what the configuration asks for: it does not start, for this reason.
    Refused(&'static str),
}
use Fate::{Honoured, NotNeeded, Refused, WithoutEffect};

const HOOKS: &str = "mail from the log is not supported: watch the log with what collects it";
const OTHER_CLOUD: &str =
    "this storage driver is not supported yet: use `s3`, `filesystem` or `inmemory`";
const REMOVED_DRIVER: &str = "this storage driver is gone from distribution 3 and is not supported: use `s3` (most stores speak it), `filesystem` or `inmemory`";
const TOKEN: &str = "token authentication is not supported yet: use `auth.htpasswd`, or put a proxy that asks for tokens in front";
const MIDDLEWARE: &str = "middleware is not supported yet: for a content delivery network in front of the bucket use storage.s3.redirectendpoint, or serve blobs through the registry with storage.redirect.disable";
const LETS_ENCRYPT: &str = "certificates from Let's Encrypt are not supported yet: let cert-manager or certbot write http.tls.certificate and http.tls.key; both are reloaded when they change";
/// What is said of notification endpoints that are not disabled.
pub(super) const NOTIFICATIONS: &str =
    "notifications are not supported yet: remove the endpoints, or set `disabled: true` on each";
const REDIS: &str =
    "nothing is kept in Redis: every replica reads the bucket, so there is nothing to share";
const PROXY: &str = "a pull-through cache is not supported yet: remove the section, or keep distribution for this one registry";
const DEBUG: &str =
    "there is no debug server yet: /livez and /readyz on the main address tell how the server is";
const HEALTH_CHECKS: &str = "checks of files, URLs and ports are not supported: probe them where they are, and probe this server at /readyz";
const READINESS: &str =
    "/readyz looks at the store when it is asked, at most once in a few seconds";
const SECRET: &str = "clients carry no state that would have to be signed; every replica finds an upload in the store";
const COPIES: &str = "a push is not copied within the bucket, and where a copy is needed its parts have a fixed size";
const POLICY: &str = "classes of repositories are not supported: every repository takes images and any other artifact";
const URLS: &str = "layers with URLs of their own are refused whatever they point to; a list of exceptions is not supported yet";
/// What is said of everything about removing uploads that were given up.
pub(super) const PURGING: &str = "uploads that were given up are not removed on a schedule yet: give the bucket a lifecycle rule for incomplete multipart uploads, which hold the data; what else stays of each is one object under its repository's `_uploads/`, smaller than a part";

/// Keys by their path. What is below a refused or free key is not listed. `*` stands for any one name.
const KEYS: &[(&str, Fate)] = &[
    ("version", Honoured),
    ("loglevel", Honoured),
    ("log.accesslog.disabled", Honoured),
    ("log.level", Honoured),
    ("log.formatter", Honoured),
    ("log.fields.*", Honoured),
    ("log.reportcaller", Honoured),
    ("log.hooks", Refused(HOOKS)),
    ("storage.filesystem.rootdirectory", Honoured),
    (
        "storage.filesystem.maxthreads",
        NotNeeded(
            "file operations share one bounded pool of threads with everything else that blocks",
        ),
    ),
    ("storage.inmemory", Honoured),
    ("storage.azure", Refused(OTHER_CLOUD)),
    ("storage.gcs", Refused(OTHER_CLOUD)),
    ("storage.swift", Refused(REMOVED_DRIVER)),
    ("storage.oss", Refused(REMOVED_DRIVER)),
    ("storage.s3.accesskey", Honoured),
    ("storage.s3.secretkey", Honoured),
    ("storage.s3.sessiontoken", Honoured),
    ("storage.s3.bucket", Honoured),
    ("storage.s3.region", Honoured),
    ("storage.s3.regionendpoint", Honoured),
    ("storage.s3.forcepathstyle", Honoured),
    ("storage.s3.redirectendpoint", Honoured),
    ("storage.s3.encrypt", Honoured),
    ("storage.s3.keyid", Honoured),
    ("storage.s3.secure", Honoured),
    ("storage.s3.skipverify", Honoured),
    ("storage.s3.v4auth", Honoured),
    ("storage.s3.chunksize", Honoured),
    ("storage.s3.multipartcopychunksize", NotNeeded(COPIES)),
    ("storage.s3.multipartcopymaxconcurrency", NotNeeded(COPIES)),
    ("storage.s3.multipartcopythresholdsize", NotNeeded(COPIES)),
    ("storage.s3.rootdirectory", Honoured),
    ("storage.s3.storageclass", Honoured),
    ("storage.s3.useragent", Honoured),
    ("storage.s3.objectacl", Honoured),
    ("storage.s3.usedualstack", Honoured),
    ("storage.s3.accelerate", Honoured),
    ("storage.s3.usefipsendpoint", Honoured),
    (
        "storage.s3.loglevel",
        NotNeeded("calls to S3 are logged with everything else: set log.level to debug"),
    ),
    ("storage.delete.enabled", Honoured),
    ("storage.redirect.disable", Honoured),
    (
        "storage.tag.concurrencylimit",
        NotNeeded(
            "deleting a manifest reads its repository's tags with a fixed, bounded concurrency",
        ),
    ),
    ("storage.cache.blobdescriptor", Honoured),
    ("storage.cache.layerinfo", Honoured),
    (
        "storage.cache.blobdescriptorsize",
        NotNeeded("the cache of descriptors is bounded by the server itself"),
    ),
    ("storage.maintenance.readonly.enabled", Honoured),
    ("storage.maintenance.uploadpurging.enabled", Honoured),
    (
        "storage.maintenance.uploadpurging.age",
        WithoutEffect(PURGING),
    ),
    (
        "storage.maintenance.uploadpurging.interval",
        WithoutEffect(PURGING),
    ),
    (
        "storage.maintenance.uploadpurging.dryrun",
        WithoutEffect(PURGING),
    ),
    ("auth.none", Honoured),
    ("auth.silly.realm", Honoured),
    ("auth.silly.service", Honoured),
    ("auth.htpasswd.realm", Honoured),
    ("auth.htpasswd.path", Honoured),
    ("auth.token", Refused(TOKEN)),
    ("middleware", Refused(MIDDLEWARE)),
    ("catalog.maxentries", Honoured),
    ("tags.maxtags", Honoured),
    ("http.addr", Honoured),
    ("http.net", Honoured),
    ("http.prefix", Honoured),
    ("http.host", Honoured),
    ("http.secret", NotNeeded(SECRET)),
    ("http.relativeurls", Honoured),
    ("http.draintimeout", Honoured),
    ("http.draindelay", Honoured),
    ("http.headers.*", Honoured),
    ("http.http2.disabled", Honoured),
    ("http.h2c.enabled", Honoured),
    ("http.tls.certificate", Honoured),
    ("http.tls.key", Honoured),
    ("http.tls.clientcas", Honoured),
    ("http.tls.clientauth", Honoured),
    ("http.tls.minimumtls", Honoured),
    ("http.tls.ciphersuites", Honoured),
    ("http.tls.letsencrypt", Refused(LETS_ENCRYPT)),
    ("http.debug", WithoutEffect(DEBUG)),
    ("notifications.endpoints", Honoured),
    ("notifications.events", WithoutEffect(NOTIFICATIONS)),
    ("notifications.eventconfig", WithoutEffect(NOTIFICATIONS)),
    ("redis", WithoutEffect(REDIS)),
    ("health.storagedriver.enabled", Honoured),
    ("health.storagedriver.interval", NotNeeded(READINESS)),
    ("health.storagedriver.threshold", NotNeeded(READINESS)),
    ("health.file", Refused(HEALTH_CHECKS)),
    ("health.http", Refused(HEALTH_CHECKS)),
    ("health.tcp", Refused(HEALTH_CHECKS)),
    // The names that variables use for the three above.
    ("health.filecheckers", Refused(HEALTH_CHECKS)),
    ("health.httpcheckers", Refused(HEALTH_CHECKS)),
    ("health.tcpcheckers", Refused(HEALTH_CHECKS)),
    ("proxy", Refused(PROXY)),
    ("validation.disabled", Honoured),
    ("validation.enabled", Honoured),
    ("validation.manifests.urls", Refused(URLS)),
    ("validation.manifests.indexes.platforms", Honoured),
    ("validation.manifests.indexes.platformlist", Honoured),
    ("policy", Refused(POLICY)),
];

/// Keys whose value is a list, where a variable ends in the number of an element.
const LISTS: &[&str] = &[
    "http.tls.clientcas",
    "http.tls.ciphersuites",
    "log.hooks",
    "notifications.endpoints",
    "health.file",
    "health.http",
    "health.tcp",
    "middleware.registry",
    "middleware.repository",
    "middleware.storage",
    "proxy.exec.command",
    "redis.addrs",
    "validation.manifests.urls.allow",
    "validation.manifests.urls.deny",
    "validation.manifests.indexes.platformlist",
];

/// Whether the value at `path` is a list: only asked where nothing is yet.
pub(super) fn is_list(path: &str) -> bool {
    LISTS.contains(&path)
        || path
            .strip_prefix("http.headers.")
            .is_some_and(|name| !name.contains('.'))
}

/// All keys and their fates, in reading order.
pub(super) fn keys() -> impl Iterator<Item = (&'static str, Fate)> {
    KEYS.iter().copied()
}

/// Why the key `path` is refused. Empty for one that is not.
pub(super) fn refusal(path: &str) -> &'static str {
    match place(path) {
        Place::Key(_, Refused(why)) => why,
        Place::Key(..) | Place::Section | Place::Unknown(_) => "",
    }
}

/// How a path of the configuration relates to the known keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A known key, or something below one that takes anything.
    Key(&'static str, Fate),
    /// Known keys are below it.
    Section,
    /// Nothing is known by this name. This one is closest.
    Unknown(Option<String>),
}

/// Where `path` is among the known keys. The two names of the S3 driver are one.
pub(super) fn place(path: &str) -> Place {
    let path = path.replacen("storage.s3aws", "storage.s3", 1);
    for (key, fate) in keys() {
        match key.strip_suffix(".*") {
            Some(section) if path == section => return Place::Section,
            Some(section) if below(&path, section) => return Place::Key(key, fate),
            _ if path == key => return Place::Key(key, fate),
            // A section that is refused or without effect is so with all that is in it.
            _ if fate != Honoured && below(&path, key) => return Place::Key(key, fate),
            _ => {}
        }
    }
    if keys().any(|(key, _)| below(key, &path)) {
        return Place::Section;
    }
    Place::Unknown(nearest(&path))
}

fn below(path: &str, section: &str) -> bool {
    path.strip_prefix(section)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The known key closest to `path`, where one is close enough that a slip of the hand explains the difference.
fn nearest(path: &str) -> Option<String> {
    let candidates = keys()
        .filter(|(key, _)| !key.ends_with(".*"))
        .map(|(key, _)| key);
    let (distance, key) = candidates.map(|key| (distance(path, key), key)).min()?;
    (distance <= path.len() / 4 + 1).then(|| key.to_owned())
}

/// Levenshtein's distance: how many letters to add, drop or exchange.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(line + 1);
        for (b, pair) in to.bytes().zip(row.windows(2)) {
            let (&[diagonal, above], left) = (pair, next.last().copied().unwrap_or(usize::MAX))
            else {
                continue;
            };
            next.push(
                (above + 1)
                    .min(left.saturating_add(1))
                    .min(diagonal + usize::from(a != b)),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_answered_with_the_key_that_was_meant() {
        let unknown = |key: &str| Place::Unknown(Some(key.to_owned()));
        assert_eq!(
            place("storage.s3.regionEndpoint"),
            unknown("storage.s3.regionendpoint")
        );
        assert_eq!(place("http.adr"), unknown("http.addr"));
        assert_eq!(place("entirely.different.thing"), Place::Unknown(None));
    }

    #[test]
    fn what_is_below_a_refused_section_is_refused_with_it() {
        assert_eq!(
            place("auth.token.rootcertbundle"),
            Place::Key("auth.token", Refused(TOKEN))
        );
        assert_eq!(
            place("health.file"),
            Place::Key("health.file", Refused(HEALTH_CHECKS))
        );
    }

    #[test]
    fn both_names_of_the_s3_driver_are_one() {
        assert_eq!(
            place("storage.s3aws.bucket"),
            Place::Key("storage.s3.bucket", Honoured)
        );
        assert_eq!(place("storage.s3aws"), Place::Section);
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(
            (
                distance("kitten", "sitting"),
                distance("", "abc"),
                distance("abc", "abc")
            ),
            (3, 3, 0)
        );
    }
}
