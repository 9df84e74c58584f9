//! Passwords and their hashes: what is missing is made, what fits is kept.
//!
//! A hash that fits its password is never made again: it would be another text each time, and the pods would read a changed file.

use std::{collections::BTreeMap, fmt::Write};

use bcrypt::{BcryptError, HashParts, Version};
use rand::{RngExt, distr::Alphanumeric};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use snafu::{ResultExt, Snafu};

use super::validate::User;

/// Rounds of bcrypt, as a power of two: what `htpasswd -B` and the registry's own tools take for strong enough.
const COST: u32 = 10;
/// How a hash of that cost begins. Another one is not verified: how long that takes the hash says itself, up to days, and whoever
/// may write the Secret may write that.
const OURS: &str = "$2y$10$";
/// Characters of a generated password. 40 of 62 are 238 bits.
const LENGTH: usize = 40;

/// A login that is complete. No `Debug`: it would show the hash.
#[derive(Clone)]
pub struct Login {
    /// Name.
    pub name: String,
    /// Secret in which the login is kept.
    pub secret: String,
    /// Password.
    pub password: SecretString,
    /// What the htpasswd file says: bcrypt of the password.
    pub hash: String,
}

/// A password could not be hashed.
#[derive(Debug, Snafu)]
pub enum Error {
    /// The library refused.
    #[snafu(display("failed to hash the password of user {user:?}"))]
    Hash {
        /// Whose.
        user: String,
        /// Why.
        source: BcryptError,
    },
    /// The thread ended.
    #[snafu(display("failed to finish hashing passwords"))]
    Thread {
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// The logins, and the digests to remember for the next time.
pub struct Logins {
    /// In the order of the users.
    pub logins: Vec<Login>,
    /// See [`super::memory::Remembered::verified`].
    pub verified: Vec<[u8; 32]>,
}

/// Completes the logins, with bcrypt on a thread that may block. `stored` is what the htpasswd file says now.
///
/// # Errors
/// When bcrypt fails, which it does not for passwords that were validated.
pub async fn complete(
    users: Vec<User>,
    stored: BTreeMap<String, String>,
    verified: Vec<[u8; 32]>,
) -> Result<Logins, Error> {
    if let Some(known) = already_known(&users, &stored, &verified) {
        return Ok(known);
    }
    let work = tokio::task::spawn_blocking(move || {
        let logins: Result<Vec<Login>, Error> = users
            .into_iter()
            .map(|user| login(user, &stored, &mut rand::rng()))
            .collect();
        let logins = logins?;
        Ok(Logins {
            verified: logins
                .iter()
                .map(|login| digest(&login.name, &login.password, &login.hash))
                .collect(),
            logins,
        })
    });
    work.await.context(ThreadSnafu)?
}

/// All of it, when nothing has to be hashed or verified.
fn already_known(
    users: &[User],
    stored: &BTreeMap<String, String>,
    verified: &[[u8; 32]],
) -> Option<Logins> {
    let login = |user: &User| {
        let (password, hash) = (user.password.clone()?, stored.get(&user.name)?.clone());
        verified
            .contains(&digest(&user.name, &password, &hash))
            .then(|| Login {
                name: user.name.clone(),
                secret: user.secret.clone(),
                password,
                hash,
            })
    };
    let logins: Option<Vec<Login>> = users.iter().map(login).collect();
    logins.map(|logins| Logins {
        logins,
        verified: verified.to_vec(),
    })
}

/// One login. Blocks for some 50 ms unless nothing is stored, and then for as long.
fn login(
    user: User,
    stored: &BTreeMap<String, String>,
    random: &mut impl rand::Rng,
) -> Result<Login, Error> {
    let User {
        name,
        secret,
        password,
    } = user;
    let password = password.unwrap_or_else(|| generate(random));
    let fits = |hash: &&String| {
        hash.starts_with(OURS) && bcrypt::verify(password.expose_secret(), hash).unwrap_or(false)
    };
    let hash = match stored.get(&name).filter(fits) {
        Some(hash) => hash.clone(),
        None => hash(&password, random.random()).context(HashSnafu { user: &name })?,
    };
    Ok(Login {
        name,
        secret,
        password,
        hash,
    })
}

fn generate(random: &mut impl rand::Rng) -> SecretString {
    random
        .sample_iter(Alphanumeric)
        .take(LENGTH)
        .map(char::from)
        .collect::<String>()
        .into()
}

fn hash(password: &SecretString, salt: [u8; 16]) -> Result<String, BcryptError> {
    // `$2y$` is what htpasswd writes, and what every reader of its files takes.
    bcrypt::hash_with_salt(password.expose_secret(), COST, salt)
        .map(|parts: HashParts| parts.format_for_version(Version::TwoY))
}

fn digest(user: &str, password: &SecretString, hash: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [user, password.expose_secret(), hash] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// The htpasswd file.
#[must_use]
pub fn htpasswd(logins: &[Login]) -> String {
    logins.iter().fold(String::new(), |mut file, login| {
        // Writing into a String cannot fail.
        let _ = writeln!(file, "{}:{}", login.name, login.hash);
        file
    })
}

/// What an htpasswd file says. Lines that are none are left out; they are written again.
#[must_use]
pub fn parse_htpasswd(file: &str) -> BTreeMap<String, String> {
    file.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(user, hash)| (user.to_owned(), hash.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn user(name: &str, password: Option<&str>) -> User {
        User {
            name: name.to_owned(),
            secret: format!("images-login-{name}"),
            password: password.map(SecretString::from),
        }
    }

    async fn complete_all(users: &[User], stored: &BTreeMap<String, String>) -> Logins {
        complete(users.to_vec(), stored.clone(), Vec::new())
            .await
            .expect("bcrypt works")
    }

    #[tokio::test]
    async fn a_hash_stands_while_its_password_stands() {
        let users = [user("ci", Some("one")), user("dev", Some("two"))];
        let first = complete_all(&users, &BTreeMap::new()).await;
        let stored = parse_htpasswd(&htpasswd(&first.logins));
        let again = complete_all(&users, &stored).await;
        assert_eq!(htpasswd(&again.logins), htpasswd(&first.logins));
        let changed = complete_all(
            &[user("ci", Some("three")), user("dev", Some("two"))],
            &stored,
        )
        .await;
        assert_ne!(changed.logins[0].hash, first.logins[0].hash);
        assert_eq!(changed.logins[1].hash, first.logins[1].hash);
        assert!(bcrypt::verify("three", &changed.logins[0].hash).expect("it is a hash"));
    }

    /// Verifying costs what the hash says, up to days for one of cost 31, and who may write the Secret may write that.
    #[tokio::test]
    async fn a_hash_of_another_cost_is_not_verified_but_replaced() {
        let cheap = bcrypt::hash_with_salt("one", COST - 4, *b"0123456789abcdef")
            .expect("bcrypt works")
            .format_for_version(Version::TwoY);
        let stored = BTreeMap::from([("ci".to_owned(), cheap.clone())]);
        let logins = complete_all(&[user("ci", Some("one"))], &stored).await;
        assert_ne!(logins.logins[0].hash, cheap);
    }

    #[tokio::test]
    async fn what_was_verified_once_is_not_verified_again() {
        let users = [user("ci", Some("one"))];
        // No bcrypt hash at all: were it verified, it would be replaced.
        let stored = BTreeMap::from([("ci".to_owned(), "not a hash".to_owned())]);
        let known = vec![digest("ci", &"one".into(), "not a hash")];
        let logins = complete(users.to_vec(), stored, known.clone())
            .await
            .expect("nothing is hashed");
        assert_eq!(
            (logins.logins[0].hash.as_str(), logins.verified),
            ("not a hash", known)
        );
    }

    #[test]
    fn the_hash_is_the_one_that_htpasswd_would_write() {
        let hash = hash(&"secret".into(), *b"0123456789abcdef").expect("bcrypt works");
        assert!(hash.starts_with("$2y$10$"), "{hash}");
        assert!(bcrypt::verify("secret", &hash).expect("it is a hash"));
    }

    #[test]
    fn a_generated_password_is_long_and_plain_and_never_the_same() {
        let mut random = StdRng::seed_from_u64(1);
        let (one, two) = (generate(&mut random), generate(&mut random));
        assert_eq!(one.expose_secret().len(), LENGTH);
        assert!(
            one.expose_secret()
                .chars()
                .all(|c| c.is_ascii_alphanumeric())
        );
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
