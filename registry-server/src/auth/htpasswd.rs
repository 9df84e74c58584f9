//! Users of an htpasswd file. Whoever proves to be in it may do everything, as in distribution.
//!
//! bcrypt is slow by design, and clients send the password with every request. So a password is verified once, and what is
//! remembered for minutes is a keyed digest of user, password and hash, which is of no use to anybody without this process's
//! key. Verifications run on threads of their own, a few at a time, so that a flood of wrong passwords leaves the server
//! answering everybody who is remembered.
//!
//! The file is read again when it changes. A new version that cannot be read leaves the last good one in force.

use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use moka::future::Cache;
use sha2::Sha256;
use snafu::{ResultExt, Snafu, ensure};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tracing::{error, info, warn};

pub(crate) use self::users::{DEFAULT_COST, MAX_COST};
use self::users::{Hash, Users};
use super::{Access, Authorizer, Denied, Identity, challenge::quoted};
use crate::stamp::Stamp;

mod users;

/// Largest file that is read, in bytes: some 100,000 users.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// Longest `Authorization` that is looked at, in bytes. A user and a password that people use have less than 200.
const MAX_HEADER: usize = 4 * 1024;
/// How often the file system is asked whether the file has changed.
const RECHECK: Duration = Duration::from_secs(1);
/// How long a verified password is remembered.
const REMEMBERED: Duration = Duration::from_mins(5);
/// How many verified passwords are remembered: about 2 MB.
const MAX_REMEMBERED: u64 = 10_000;
/// How many verifications may wait for their turn. At cost 10, on one processor, the last of them waits some 5 s.
const MAX_WAITING: usize = 64;
/// How long one waits for its turn before the client is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The user of a file that distribution would have made.
const PROVISIONED_USER: &str = "docker";

/// Why the file cannot be used.
#[derive(Debug, Snafu)]
pub enum Error {
    /// It cannot be read.
    #[snafu(display("failed to read the htpasswd file {path:?}"))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It is larger than any htpasswd file.
    #[snafu(display(
        "the htpasswd file {path:?} has more than {MAX_FILE} bytes: is it the right file?"
    ))]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not an htpasswd file.
    #[snafu(display("the htpasswd file {path:?} cannot be understood: {problem}"))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// With the line.
        problem: String,
    },
    /// It is not there and cannot be made.
    #[snafu(display(
        "the htpasswd file {path:?} is not there, and making it failed; create it with lines from `moorage-registry hash-password USER`"
    ))]
    Provision {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// bcrypt failed, which takes a system without randomness.
    #[snafu(display("failed to hash a password"))]
    Hash {
        /// Its word.
        source: bcrypt::BcryptError,
    },
}

/// See the module.
pub struct Htpasswd {
    challenge: String,
    path: PathBuf,
    users: ArcSwap<Users>,
    seen: Mutex<Seen>,
    recheck: Duration,
    key: [u8; 64],
    remembered: Cache<[u8; 32], ()>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    verifications: AtomicU64,
}

impl std::fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Htpasswd")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Which version of the file was looked at last, good or not, and when.
struct Seen {
    stamp: Option<Stamp>,
    at: Instant,
}

/// Why a password was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unverified {
    Wrong,
    Busy,
}

impl Htpasswd {
    /// Reads the file. One that is not there is made, as distribution does: with a user `docker` and a random password, which is
    /// written to the log, once, since there is no other way to tell it.
    ///
    /// # Errors
    /// When the file can neither be read nor made, or is not an htpasswd file.
    pub async fn open(path: PathBuf, realm: &str) -> Result<Self, Error> {
        Self::with_recheck(path, realm, RECHECK).await
    }

    async fn with_recheck(path: PathBuf, realm: &str, recheck: Duration) -> Result<Self, Error> {
        let (stamp, users) = {
            let path = path.clone();
            let read = move || {
                if matches!(Stamp::of(&path), Err(error) if error.kind() == io::ErrorKind::NotFound)
                {
                    provision(&path)?;
                }
                let stamp = Stamp::of(&path).ok();
                Ok((stamp, read(&path)?))
            };
            off_the_async_threads(read).await?
        };
        info!(path = %path.display(), users = users.len(), "users read");
        // Half the processors, so that the other half goes on answering.
        let turns = std::thread::available_parallelism().map_or(1, |cpus| (cpus.get() / 2).max(1));
        Ok(Self {
            challenge: format!("Basic realm={}", quoted(realm)),
            path,
            users: ArcSwap::from_pointee(users),
            seen: Mutex::new(Seen {
                stamp,
                at: Instant::now(),
            }),
            recheck,
            key: std::array::from_fn(|_| rand::random()),
            remembered: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
            turns: Arc::new(Semaphore::new(turns)),
            waiting: AtomicUsize::new(0),
            verifications: AtomicU64::new(0),
        })
    }

    /// How many times bcrypt has run.
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    /// Reads the file again if it is another one now. Whoever comes while somebody else looks goes on with the users at hand.
    async fn refresh(&self) {
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        if seen.at.elapsed() < self.recheck {
            return;
        }
        let (path, last) = (self.path.clone(), seen.stamp);
        let look = move || {
            let stamp = Stamp::of(&path).ok();
            (stamp != last).then(|| (stamp, read(&path)))
        };
        let found = off_the_async_threads(look).await;
        seen.at = Instant::now();
        let Some((stamp, outcome)) = found else {
            return;
        };
        // Good or bad, this version has been seen: it is logged once.
        seen.stamp = stamp;
        match outcome {
            Ok(users) => {
                info!(path = %self.path.display(), users = users.len(), "users read again, the file has changed");
                self.users.store(Arc::new(users));
                self.remembered.invalidate_all();
            }
            Err(error) => {
                error!(
                    error = %snafu::Report::from_error(error),
                    "the htpasswd file has changed and cannot be used; the users from before stay in force"
                );
            }
        }
    }

    async fn verify(&self, user: Option<&str>, password: Vec<u8>) -> Result<(), Unverified> {
        let (hash, known) = self.users.load().hash_or_dummy(user);
        let digest = self.digest(user.unwrap_or_default(), &password, &hash);
        // Requests with the same credentials that come together share one verification. A failure is not remembered.
        let outcome = self
            .remembered
            .try_get_with(digest, self.run_bcrypt(password, hash, known))
            .await;
        outcome.map_err(|unverified| *unverified)
    }

    async fn run_bcrypt(
        &self,
        password: Vec<u8>,
        hash: Hash,
        known: bool,
    ) -> Result<(), Unverified> {
        let turn = {
            let _place = Place::take(&self.waiting).ok_or(Unverified::Busy)?;
            let turn =
                tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
            turn.ok().and_then(Result::ok).ok_or(Unverified::Busy)?
        };
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let right = off_the_async_threads(move || {
            // Held until bcrypt is done, also when the client has gone away in the meantime.
            let _turn = turn;
            // Like Go's, this looks at the first 72 bytes only: hashes of longer passwords, made elsewhere, go on working.
            bcrypt::verify(&password, hash.as_str()).unwrap_or(false)
        })
        .await;
        if right && known {
            Ok(())
        } else {
            Err(Unverified::Wrong)
        }
    }

    fn digest(&self, user: &str, password: &[u8], hash: &Hash) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        for part in [user.as_bytes(), password, hash.as_str().as_bytes()] {
            // With its length, so that no two triples give one text.
            mac.update(&part.len().to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[async_trait]
impl Authorizer for Htpasswd {
    async fn authorize(
        &self,
        authorization: Option<&str>,
        _: &[Access],
    ) -> Result<Identity, Denied> {
        self.refresh().await;
        let unauthenticated = || Denied::Unauthenticated {
            challenge: self.challenge.clone(),
        };
        let (user, password) = authorization.and_then(basic).ok_or_else(unauthenticated)?;
        let user = String::from_utf8(user).ok();
        match self.verify(user.as_deref(), password).await {
            Ok(()) => Ok(Identity { user }),
            Err(Unverified::Wrong) => Err(unauthenticated()),
            Err(Unverified::Busy) => Err(Denied::Undecided {
                reason: "too many passwords wait to be verified".to_owned(),
            }),
        }
    }
}

/// A place among those that wait for their turn.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // With too many before, the place is given back at once.
        (waiting.fetch_add(1, Ordering::AcqRel) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// User and password of a `Basic` header (RFC 7617), as bytes. Anything else is nobody.
fn basic(authorization: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    if authorization.len() > MAX_HEADER {
        return None;
    }
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let mut user = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let mut password = user.split_off(colon);
    password.remove(0);
    Some((user, password))
}

fn read(path: &Path) -> Result<Users, Error> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).context(ReadSnafu { path })?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .context(ReadSnafu { path })?;
    ensure!(
        u64::try_from(bytes.len()).is_ok_and(|size| size <= MAX_FILE),
        TooLargeSnafu { path }
    );
    let (users, useless) =
        Users::parse(&String::from_utf8_lossy(&bytes)).map_err(|problem| Error::Invalid {
            path: path.to_owned(),
            problem: problem.to_string(),
        })?;
    for line in useless {
        warn!(path = %path.display(), line = line.line, user = line.user, "a line of the htpasswd file lets nobody in: {}", line.why);
    }
    Ok(users)
}

fn provision(path: &Path) -> Result<(), Error> {
    let password = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let hash = bcrypt::non_truncating_hash(&password, DEFAULT_COST).context(HashSnafu)?;
    let make = || {
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut line = String::new();
        let _ = writeln!(line, "{PROVISIONED_USER}:{hash}");
        file.write_all(line.as_bytes())
    };
    make().context(ProvisionSnafu { path })?;
    warn!(
        path = %path.display(),
        user = PROVISIONED_USER,
        password,
        "the htpasswd file is missing: it has been made with one user, whose password is shown only here"
    );
    Ok(())
}

/// Runs what blocks. A panic in it goes on here.
async fn off_the_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down, and whoever waits for this with it.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
