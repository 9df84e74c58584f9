use std::path::PathBuf;

use rstest::rstest;
use secrecy::ExposeSecret;

use super::*;
use crate::store::s3::{Addressing, Credentials};

fn loaded(file: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let source =
        (!file.is_empty()).then(|| Source::new("config.yml", format!("version: 0.1\n{file}")));
    load(
        source.as_ref(),
        &variables.iter().copied().collect(),
        Path::new("/data"),
    )
}

fn config(file: &str, variables: &[(&str, &str)]) -> Config {
    loaded(file, variables).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match loaded(file, variables) {
        Err(Error::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
        Ok(config) => panic!("accepted: {config:?}"),
    }
}

/// The environment of the Deployment in the guide that most people follow.
const GUIDE: &[(&str, &str)] = &[
    ("REGISTRY_AUTH", "htpasswd"),
    ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
    ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
    ("REGISTRY_STORAGE", "s3"),
    ("REGISTRY_STORAGE_S3_ACCESSKEY", "AKIAIOSFODNN7EXAMPLE"),
    ("REGISTRY_STORAGE_S3_BUCKET", "team-a"),
    ("REGISTRY_STORAGE_S3_REGION", "eu-central-1"),
    (
        "REGISTRY_STORAGE_S3_SECRETKEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
];

#[test]
fn a_missing_key_is_reported_together_with_the_misspelt_name_that_was_meant_for_it() {
    let misspelt = [
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_BUKET", "team-a"),
        ("REGISTRY_STORAGE_S3_REGION", "eu-central-1"),
    ];
    let error = loaded("", &misspelt).expect_err("there is no bucket");
    let text = error.to_string();
    assert!(text.contains("storage.s3.bucket"), "{text}");
    assert!(text.contains("REGISTRY_STORAGE_S3_BUKET"), "{text}");
}

#[test]
fn nothing_at_all_is_a_registry_in_a_folder_on_port_5000_for_everybody() {
    let config = config("", &[]);
    assert!(
        matches!(config.storage.driver, Driver::Filesystem { root } if root == Path::new("/data"))
    );
    assert_eq!(
        config.http.address,
        Address::Tcp {
            host: None,
            port: 5000
        }
    );
    assert_eq!(config.auth, Auth::Anonymous);
    assert_eq!(config.warnings, []);
    assert!(!config.storage.delete && config.storage.redirect && !config.storage.read_only);
}

#[test]
fn the_environment_of_the_well_known_guide_is_enough() {
    let config = config("", GUIDE);
    assert_eq!(
        config.auth,
        Auth::Htpasswd {
            realm: "Registry Realm".into(),
            path: PathBuf::from("/auth/htpasswd")
        }
    );
    let Driver::S3(s3) = config.storage.driver else {
        panic!("not S3")
    };
    assert_eq!(
        (s3.bucket.as_str(), s3.region.as_deref()),
        ("team-a", Some("eu-central-1"))
    );
    let Credentials::AccessKey {
        id,
        secret,
        session_token,
    } = s3.credentials
    else {
        panic!("not the configured key")
    };
    assert_eq!(id, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(
        secret.expose_secret(),
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    );
    assert!(session_token.is_none());
    assert_eq!(config.warnings, []);
}

/// 2.8 forced path style with an endpoint, 3.x wants to be told; people move between the two with one configuration.
#[rstest]
#[case(&[], false)]
#[case(&[("REGISTRY_STORAGE_S3_REGIONENDPOINT", "http://minio:9000")], true)]
#[case(&[("REGISTRY_STORAGE_S3_REGIONENDPOINT", "http://minio:9000"), ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "false")], false)]
#[case(&[("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "true")], true)]
fn path_style_is_the_default_with_an_endpoint_of_ones_own(
    #[case] more: &[(&str, &str)],
    #[case] expected: bool,
) {
    let Driver::S3(s3) = config("", &[GUIDE, more].concat()).storage.driver else {
        panic!("not S3")
    };
    assert_eq!(s3.addressing == Addressing::Path, expected);
}

#[test]
fn both_names_of_the_s3_driver_are_understood() {
    let Driver::S3(s3) = config("storage:\n  s3aws: {bucket: b, region: eu-west-1}\n", &[])
        .storage
        .driver
    else {
        panic!("not S3")
    };
    assert_eq!(s3.bucket, "b");
    let Driver::S3(s3) = config(
        "",
        &[
            ("REGISTRY_STORAGE", "s3aws"),
            ("REGISTRY_STORAGE_S3AWS_BUCKET", "b"),
            ("REGISTRY_STORAGE_S3AWS_REGION", "eu-west-1"),
        ],
    )
    .storage
    .driver
    else {
        panic!("not S3")
    };
    assert_eq!(s3.region.as_deref(), Some("eu-west-1"));
}

/// The configuration in distribution's images, 2.8 and 3.x, starts a server with no more than a word about what is missing.
#[test]
fn the_configuration_of_distributions_image_is_accepted() {
    let file = "log: {fields: {service: registry}}
storage: {cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: /var/lib/registry}, tag: {concurrencylimit: 5}}
http: {addr: ':5000', debug: {addr: ':5001', prometheus: {enabled: true}}, headers: {X-Content-Type-Options: [nosniff]}}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
";
    let config = config(file, &[]);
    assert_eq!(config.log.fields["service"], "registry");
    assert_eq!(config.http.headers["X-Content-Type-Options"], "nosniff");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn every_problem_is_reported_at_once_with_its_key_and_place() {
    let file = "storage:
  s3: {bucket: b, chunksize: 1000, storageclass: COLD}
http:
  addr: nonsense
  draintimeout: 5 minutes
  tls: {certificate: /a}
";
    insta::assert_snapshot!(problems(file, &[("REGISTRY_LOG_LEVEL", "loud")]).join("\n"));
}

#[test]
fn two_drivers_are_named_with_the_places_that_ask_for_them() {
    let problems = problems(
        "storage: {filesystem: {}}\n",
        &[("REGISTRY_STORAGE_S3_BUCKET", "b")],
    );
    assert_eq!(problems.len(), 1);
    for part in [
        "filesystem (config.yml:2)",
        "s3 (REGISTRY_STORAGE_S3_BUCKET)",
        "REGISTRY_STORAGE",
    ] {
        assert!(problems[0].contains(part), "{problems:?}");
    }
}

#[test]
fn half_an_access_key_is_refused() {
    let half: Vec<_> = GUIDE
        .iter()
        .copied()
        .filter(|(name, _)| !name.ends_with("SECRETKEY"))
        .collect();
    assert!(problems("", &half)[0].starts_with("storage.s3.secretkey: must be set too"));
}

#[test]
fn secrets_are_in_no_setting_no_problem_and_no_debug_output() {
    let secrets = [
        ("REGISTRY_HTTP_SECRET", "hunter2-http"),
        ("REGISTRY_STORAGE_S3_SESSIONTOKEN", "hunter2-token"),
    ];
    let config = config("", &[GUIDE, &secrets].concat());
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("wJalr"),
        "{shown}"
    );
}

/// A provider that is not there must not leave the door open.
#[rstest]
#[case("auth: {htpaswd: {path: /x}}\n")]
#[case("auth: token\n")]
#[case("auth: {token: {realm: r}}\n")]
#[case("auth: {htpasswd: {realm: r}}\n")]
#[case("auth: {htpasswd: {path: /x}, silly: {realm: r, service: s}}\n")]
#[case("auth: [htpasswd]\n")]
#[case("auth: htpasswd\n")]
fn authentication_that_cannot_be_had_is_an_error_and_not_an_open_registry(#[case] file: &str) {
    assert!(
        problems(file, &[])
            .iter()
            .all(|problem| problem.starts_with("auth")),
        "{:?}",
        problems(file, &[])
    );
}

#[rstest]
#[case(
    "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: /c}}",
    "auth.token",
    "not supported yet"
)]
#[case(
    "proxy: {remoteurl: https://registry-1.docker.io}",
    "proxy.remoteurl",
    "not supported yet"
)]
#[case(
    "notifications: {endpoints: [{name: a, url: http://a}]}",
    "notifications.endpoints",
    "not supported yet"
)]
#[case(
    "http: {tls: {letsencrypt: {cachefile: /a, email: a@b, hosts: [a]}}}",
    "http.tls.letsencrypt",
    "cert-manager"
)]
#[case("storage: {azure: {accountname: a}}", "storage.azure", "use `s3`")]
#[case("storage: {gcs: {bucket: a}}", "storage.gcs", "use `s3`")]
#[case(
    "storage: {swift: {authurl: a}}",
    "storage.swift",
    "gone from distribution 3"
)]
#[case("storage: gcs", "storage.gcs", "use `s3`")]
#[case(
    "middleware: {storage: [{name: cloudfront}]}",
    "middleware.storage",
    "not supported yet"
)]
#[case(
    "storage: {inmemory: {}, cache: {blobdescriptor: redis}}",
    "storage.cache.blobdescriptor",
    "Redis"
)]
#[case("health: {file: [{file: /x}]}", "health.file", "/readyz")]
#[case("log: {hooks: [{type: mail}]}", "log.hooks", "mail")]
#[case(
    "policy: {repository: {classes: [image]}}",
    "policy.repository.classes",
    "not supported"
)]
#[case(
    "validation: {manifests: {urls: {allow: ['.*']}}}",
    "validation.manifests.urls",
    "not supported"
)]
#[case(
    "validation: {manifests: {indexes: {platforms: none}}}",
    "validation.manifests.indexes",
    "supported"
)]
#[case(
    "http: {tls: {certificate: /c, key: /k, clientcas: [/a], clientauth: request-client-cert}}",
    "http.tls.clientauth",
    "proves nothing"
)]
#[case(
    "http: {tls: {certificate: /c, key: /k, minimumtls: tls1.0}}",
    "http.tls.minimumtls",
    "nothing safe"
)]
#[case(
    "storage: {s3: {bucket: b, region: eu-west-1, skipverify: true}}",
    "storage.s3.skipverify",
    "AWS_CA_BUNDLE"
)]
#[case(
    "storage: {s3: {bucket: b, region: eu-west-1, v4auth: false}}",
    "storage.s3.v4auth",
    "AWS has switched it off"
)]
fn what_is_not_there_yet_is_refused_with_the_reason_and_a_way_out(
    #[case] file: &str,
    #[case] key: &str,
    #[case] reason: &str,
) {
    let problems = problems(&format!("{file}\n"), &[]);
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with(key) && problem.contains(reason)),
        "{problems:?}"
    );
}

#[rstest]
#[case("redis: {addrs: ['redis:6379']}", "redis.addrs")]
#[case("http: {debug: {addr: ':5001'}}", "http.debug.addr")]
#[case(
    "health: {storagedriver: {enabled: false}}",
    "health.storagedriver.enabled"
)]
#[case(
    "storage: {inmemory: {}, maintenance: {uploadpurging: {enabled: true}}}",
    "storage.maintenance.uploadpurging.enabled"
)]
#[case("validation: {disabled: true}", "validation")]
#[case(
    "notifications: {events: {includereferences: true}}",
    "notifications.events"
)]
fn what_has_no_effect_is_said_to_have_none(#[case] file: &str, #[case] key: &str) {
    let warnings = config(&format!("{file}\n"), &[]).warnings;
    assert!(
        matches!(warnings.as_slice(), [warning] if warning.0.starts_with(key)),
        "{warnings:?}"
    );
}

/// In nearly every configuration there is; a warning at each start would teach people not to read them.
#[rstest]
#[case("http: {secret: hunter2}", "http.secret")]
#[case(
    "storage: {filesystem: {maxthreads: 100}}",
    "storage.filesystem.maxthreads"
)]
#[case(
    "health: {storagedriver: {interval: 10s}}",
    "health.storagedriver.interval"
)]
fn what_is_not_needed_is_said_without_a_warning(#[case] file: &str, #[case] key: &str) {
    let config = config(&format!("{file}\n"), &[]);
    assert_eq!(config.warnings, []);
    let [note] = config.notes.as_slice() else {
        panic!("{:?}", config.notes)
    };
    assert!(
        note.0.starts_with(key) && !note.0.contains("hunter2"),
        "{note}"
    );
}

#[test]
fn a_section_that_asks_for_nothing_is_accepted() {
    let file = "notifications: {endpoints: [{name: a, disabled: true}]}\nmiddleware:\nproxy: {}\nredis: {}\n";
    assert_eq!(config(file, &[]).warnings, []);
}

#[test]
fn unknown_keys_and_variables_are_named_with_what_may_be_meant() {
    let config = config(
        "http: {adr: ':1'}\n",
        &[
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORI", "/x"),
            ("REGISTRY_NONSENSE", "1"),
        ],
    );
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "http.adr (config.yml:2): ignored, there is no such key; is `http.addr` meant?",
            "nonsense (REGISTRY_NONSENSE): ignored, there is no such key",
            "storage.filesystem.rootdirectori (REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORI): ignored, there is no such key; \
             is `storage.filesystem.rootdirectory` meant?",
        ]
    );
}

/// A Service called `registry` in the namespace of the pod.
#[test]
fn the_variables_of_a_kubernetes_service_cost_one_line_together() {
    let links = [
        ("REGISTRY_PORT", "tcp://10.0.0.1:443"),
        ("REGISTRY_PORT_443_TCP", "tcp://10.0.0.1:443"),
        ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_SERVICE_PORT", "443"),
    ];
    let config = config("", &links);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].0.contains("enableServiceLinks"));
}

#[rstest]
#[case(":5001", Address::Tcp { host: None, port: 5001 })]
#[case("127.0.0.1:0", Address::Tcp { host: Some([127, 0, 0, 1].into()), port: 0 })]
#[case("localhost:5000", Address::Tcp { host: Some([127, 0, 0, 1].into()), port: 5000 })]
#[case("[::1]:5000", Address::Tcp { host: Some("::1".parse().unwrap()), port: 5000 })]
fn addresses_are_read_as_go_writes_them(#[case] text: &str, #[case] expected: Address) {
    assert_eq!(
        config("", &[("REGISTRY_HTTP_ADDR", text)]).http.address,
        expected
    );
}

#[test]
fn a_socket_in_the_file_system_is_an_address() {
    let config = config("http: {net: unix, addr: /run/registry.sock}\n", &[]);
    assert_eq!(
        config.http.address,
        Address::Unix("/run/registry.sock".into())
    );
}

#[test]
fn a_file_without_a_version_or_with_another_is_refused() {
    for text in ["http: {}\n", "version: 0.2\n"] {
        let error = load(
            Some(&Source::new("c.yml", text)),
            &Environment::default(),
            Path::new("/d"),
        )
        .unwrap_err();
        assert!(error.to_string().contains("version"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_yaml_is_refused_with_the_line() {
    let source = Source::new("c.yml", "version: 0.1\nhttp: {\n");
    let error = load(Some(&source), &Environment::default(), Path::new("/d"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("c.yml") && error.contains("line "),
        "{error}"
    );
}

#[test]
fn the_command_line_names_the_file_before_the_variable_does() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::write(&one, "version: 0.1\n").unwrap();
    std::fs::write(&other, "version: 0.1\n").unwrap();
    let environment = [("REGISTRY_CONFIGURATION_PATH", other.to_str().unwrap())]
        .into_iter()
        .collect();
    let usual = ["/nowhere.yml", one.to_str().unwrap()];
    let found = |named, environment: &Environment, usual: &[&str]| {
        find(named, environment, usual)
            .unwrap()
            .map(|source| source.name().to_owned())
    };
    let nothing = Environment::default();
    assert_eq!(
        found(Some(&one), &environment, &[]).as_deref(),
        one.to_str()
    );
    assert_eq!(found(None, &environment, &usual).as_deref(), other.to_str());
    assert_eq!(found(None, &nothing, &usual).as_deref(), one.to_str());
    assert_eq!(found(None, &nothing, &usual[..1]), None);
    assert!(find(Some(Path::new("/nowhere.yml")), &environment, &usual).is_err());
}

/// Every honoured key, once, with a value that is not its default: what is read is in the settings, so a key that nobody reads
/// fails here.
#[test]
fn no_honoured_key_is_passed_over() {
    let file = include_str!("tests/all.yml");
    let mut read: Vec<_> = [
        ("filesystem", "{rootdirectory: /x}"),
        ("s3", S3),
        ("inmemory", "{}"),
    ]
    .into_iter()
    .flat_map(|(driver, parameters)| {
        [
            "htpasswd: {realm: r, path: /p}",
            "silly: {realm: r, service: s}",
            "none: {}",
        ]
        .map(|auth| (driver, parameters, auth))
    })
    .flat_map(|(driver, parameters, auth)| {
        let file = file
            .replace("DRIVER", &format!("{driver}: {parameters}"))
            .replace("PROVIDER", auth);
        let config = config(&file, &[]);
        assert!(
            config
                .warnings
                .iter()
                .all(|warning| warning.0.starts_with("validation")
                    || warning.0.starts_with("health")),
            "{:?}",
            config.warnings
        );
        config.settings
    })
    .filter(|setting| setting.origin != Origin::Default)
    .map(|setting| setting.key)
    .collect();
    read.push("auth.none".into());
    for (key, fate) in schema::keys() {
        let key = key.trim_end_matches(".*");
        // These may be said and have no value of their own, or only one.
        let exempt = [
            "loglevel",
            "notifications.endpoints",
            "validation.manifests.indexes.platformlist",
        ];
        if fate == Fate::Honoured && !exempt.contains(&key) {
            assert!(
                read.iter().any(|read| read == key),
                "{key} is called honoured, and nobody reads it"
            );
        }
    }
}

const S3: &str = "{accesskey: a, secretkey: s, sessiontoken: t, bucket: b, region: r-1, regionendpoint: 'http://e:1', \
    redirectendpoint: 'https://r', forcepathstyle: true, encrypt: true, keyid: k, secure: false, skipverify: false, v4auth: true, \
    chunksize: 20971520, multipartcopychunksize: 20971520, multipartcopymaxconcurrency: 7, multipartcopythresholdsize: 1, \
    rootdirectory: /a/b/, storageclass: standard_ia, useragent: u, objectacl: private, usedualstack: false, accelerate: false, \
    usefipsendpoint: false}";

#[test]
fn the_old_name_of_the_level_is_understood() {
    assert_eq!(config("loglevel: debug\n", &[]).log.level, LogLevel::Debug);
}

#[test]
fn random_bytes_as_a_configuration_never_panic() {
    proptest::proptest!(|(text in "\\PC{0,200}", value in "\\PC{0,40}")| {
        let source = Source::new("c.yml", text);
        let environment = [("REGISTRY_STORAGE_S3_BUCKET", value)].into_iter().collect();
        let _ = load(Some(&source), &environment, Path::new("/d"));
    });
}
