use futures::future::join_all;
use tempfile::TempDir;

use super::*;

const COST: u32 = 4;

struct Fixture {
    folder: TempDir,
    htpasswd: Htpasswd,
}

impl Fixture {
    /// A file with these users, whose changes are seen at the next request.
    async fn with(users: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("htpasswd"), lines(users)).unwrap();
        Self::over(folder).await
    }

    async fn over(folder: TempDir) -> Self {
        let path = folder.path().join("htpasswd");
        let htpasswd = Htpasswd::with_recheck(path, "A \"realm\"", Duration::ZERO)
            .await
            .unwrap();
        Self { folder, htpasswd }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.path().join("htpasswd"), text).unwrap();
    }

    async fn login(&self, user: &str, password: &str) -> Result<Identity, Denied> {
        let value = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        );
        self.htpasswd.authorize(Some(&value), &[]).await
    }
}

fn lines(users: &[(&str, &str)]) -> String {
    let line = |(user, password): &(&str, &str)| {
        format!("{user}:{}\n", bcrypt::hash(password, COST).unwrap())
    };
    users.iter().map(line).collect()
}

fn refused() -> Result<Identity, Denied> {
    Err(Denied::Unauthenticated {
        challenge: r#"Basic realm="A \"realm\"""#.to_owned(),
    })
}

macro_rules! is {
    ($user:expr) => {
        Ok(Identity {
            user: Some($user.to_owned()),
        })
    };
}

#[tokio::test]
async fn the_right_password_comes_in_and_all_else_is_refused_alike() {
    let fixture = Fixture::with(&[("alice", "open:sesame"), ("bob", "other")]).await;
    assert_eq!(fixture.login("alice", "open:sesame").await, is!("alice"));
    assert_eq!(fixture.login("alice", "other").await, refused());
    assert_eq!(fixture.login("bob", "open:sesame").await, refused());
    assert_eq!(fixture.login("nobody", "other").await, refused());
    assert_eq!(fixture.htpasswd.authorize(None, &[]).await, refused());
}

#[tokio::test]
async fn garbage_in_the_header_is_a_refusal_that_costs_no_bcrypt() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    let long = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("alice:{}", "x".repeat(MAX_HEADER)))
    );
    let garbage = [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Bearer YWxpY2U6c2VjcmV0",
        "\u{0}\u{1}",
        &long,
    ];
    for value in garbage {
        assert_eq!(
            fixture.htpasswd.authorize(Some(value), &[]).await,
            refused(),
            "{value:?}"
        );
    }
    assert_eq!(fixture.htpasswd.verifications(), 0);
}

#[tokio::test]
async fn a_user_that_is_not_text_is_nobody() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    let value = format!("Basic {}", BASE64_STANDARD.encode(b"\xff\xfe:secret"));
    assert_eq!(
        fixture.htpasswd.authorize(Some(&value), &[]).await,
        refused()
    );
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    let value = format!("bASIC {}", BASE64_STANDARD.encode("alice:secret"));
    assert_eq!(
        fixture.htpasswd.authorize(Some(&value), &[]).await,
        is!("alice")
    );
}

/// Without this the time of the answer tells which users there are.
#[tokio::test]
async fn an_unknown_user_costs_a_verification_like_a_known_one() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    let mut counts = Vec::new();
    for user in ["alice", "nobody"] {
        let before = fixture.htpasswd.verifications();
        assert_eq!(fixture.login(user, "wrong").await, refused());
        counts.push(fixture.htpasswd.verifications() - before);
    }
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn a_password_is_verified_once_and_a_wrong_one_each_time() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    for _ in 0..5 {
        assert_eq!(fixture.login("alice", "secret").await, is!("alice"));
    }
    assert_eq!(fixture.htpasswd.verifications(), 1);
    for _ in 0..3 {
        assert_eq!(fixture.login("alice", "wrong").await, refused());
    }
    assert_eq!(fixture.htpasswd.verifications(), 4);
}

#[tokio::test]
async fn requests_that_come_together_share_one_verification() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    let all = join_all((0..50).map(|_| fixture.login("alice", "secret"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(fixture.htpasswd.verifications(), 1);
}

#[tokio::test]
async fn a_changed_file_counts_at_once_and_old_passwords_are_forgotten() {
    let fixture = Fixture::with(&[("alice", "old"), ("bob", "bob")]).await;
    assert_eq!(fixture.login("alice", "old").await, is!("alice"));
    assert_eq!(fixture.login("bob", "bob").await, is!("bob"));
    fixture.write(&lines(&[("alice", "new")]));
    assert_eq!(fixture.login("alice", "old").await, refused());
    assert_eq!(fixture.login("bob", "bob").await, refused());
    assert_eq!(fixture.login("alice", "new").await, is!("alice"));
}

#[tokio::test]
async fn a_changed_file_that_cannot_be_read_leaves_the_users_from_before() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    fixture.write("this is no htpasswd file");
    assert_eq!(fixture.login("alice", "secret").await, is!("alice"));
    std::fs::remove_file(fixture.folder.path().join("htpasswd")).unwrap();
    assert_eq!(fixture.login("alice", "secret").await, is!("alice"));
    fixture.write(&lines(&[("carol", "secret")]));
    assert_eq!(fixture.login("carol", "secret").await, is!("carol"));
    assert_eq!(fixture.login("alice", "secret").await, refused());
}

/// A mounted Secret is `htpasswd -> ..data/htpasswd` and `..data -> ..<time>`; an update exchanges only `..data`.
#[tokio::test]
async fn the_exchange_of_a_link_is_a_change_of_the_file() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for (version, password) in [("..1", "old"), ("..2", "new")] {
        std::fs::create_dir(root.join(version)).unwrap();
        std::fs::write(
            root.join(version).join("htpasswd"),
            lines(&[("alice", password)]),
        )
        .unwrap();
    }
    std::os::unix::fs::symlink("..1", root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/htpasswd", root.join("htpasswd")).unwrap();
    let fixture = Fixture::over(folder).await;
    assert_eq!(fixture.login("alice", "old").await, is!("alice"));

    let root = fixture.folder.path();
    std::os::unix::fs::symlink("..2", root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    assert_eq!(fixture.login("alice", "old").await, refused());
    assert_eq!(fixture.login("alice", "new").await, is!("alice"));
}

/// Go's bcrypt compares the first 72 bytes only; so do the tools that made such hashes.
#[tokio::test]
async fn the_hash_of_a_long_password_made_elsewhere_still_works() {
    let long = "x".repeat(100);
    let fixture = Fixture::with(&[("alice", &long)]).await;
    assert_eq!(fixture.login("alice", &long).await, is!("alice"));
    assert_eq!(fixture.login("alice", &"x".repeat(71)).await, refused());
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_is_told_to_come_again_and_leaves_those_who_are_known_alone() {
    let fixture = Fixture::with(&[("alice", "secret")]).await;
    assert_eq!(fixture.login("alice", "secret").await, is!("alice"));
    // Nobody's turn comes, as when all verifications are slow.
    let turns = fixture.htpasswd.turns.available_permits();
    let all = Arc::clone(&fixture.htpasswd.turns)
        .acquire_many_owned(u32::try_from(turns).unwrap())
        .await
        .unwrap();
    let mut flood: Vec<_> = (0..MAX_WAITING)
        .map(|n| Box::pin(fixture.login("alice", Box::leak(n.to_string().into_boxed_str()))))
        .collect();
    for waiting in &mut flood {
        assert!(futures::poll!(waiting).is_pending());
    }
    // The first poll only looks at the file; wait until all of them stand in line.
    while fixture.htpasswd.waiting.load(Ordering::Acquire) < MAX_WAITING {
        for waiting in &mut flood {
            assert!(futures::poll!(waiting).is_pending());
        }
        tokio::task::yield_now().await;
    }
    assert!(matches!(
        fixture.login("alice", "one too many").await,
        Err(Denied::Undecided { .. })
    ));
    assert_eq!(fixture.login("alice", "secret").await, is!("alice"));
    drop(all);
    assert!(
        join_all(flood)
            .await
            .into_iter()
            .all(|outcome| outcome == refused())
    );
}

#[tokio::test]
async fn a_missing_file_is_made_for_one_user_and_only_the_owner_may_read_it() {
    use std::os::unix::fs::MetadataExt;

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("auth/htpasswd");
    let htpasswd = Htpasswd::open(path.clone(), "r").await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("docker:$2b$10$"), "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777,
        0o700
    );
    assert_eq!(htpasswd.users.load().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_htpasswd_file_at_the_start_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("htpasswd");
    std::fs::write(&path, "hunter2\n").unwrap();
    let error = Htpasswd::open(path, "r").await.unwrap_err().to_string();
    assert!(
        error.contains("line 1") && !error.contains("hunter2"),
        "{error}"
    );
}
