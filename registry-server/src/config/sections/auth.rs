//! `auth`: who may come in. At most one provider.

use std::path::PathBuf;

use super::super::{
    reader::{Reader, Show},
    schema,
};

/// Realm that is shown to people who are asked for a password, where the configuration names none.
const DEFAULT_REALM: &str = "Registry";

/// Section `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Anybody may do anything: there is no section, or it says `none`.
    Anonymous,
    /// Anybody who sends any `Authorization` at all. For trying out clients.
    Silly {
        /// URL of a token service that need not exist.
        realm: String,
        /// Name of the service in the challenge.
        service: String,
    },
    /// Users of an htpasswd file with bcrypt hashes. Whoever is in it may do everything.
    Htpasswd {
        /// What the client tells a person it asks for a password.
        realm: String,
        /// The file. Reread when it changes.
        path: PathBuf,
    },
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Auth> {
    // An unknown provider must not mean an open registry.
    let names = reader.names("auth");
    let [name] = names.as_slice() else {
        if names.is_empty() {
            reader.note("auth", "none");
            return Some(Auth::Anonymous);
        }
        reader.problem(
            "auth",
            format!(
                "one provider is possible, and there are {}: {}",
                names.len(),
                names.join(", ")
            ),
        );
        return None;
    };
    match name.as_str() {
        "none" => {
            reader.note("auth", "none");
            Some(Auth::Anonymous)
        }
        "silly" => Some(Auth::Silly {
            realm: required(reader, "auth.silly.realm")?,
            service: required(reader, "auth.silly.service")?,
        }),
        "htpasswd" => {
            let realm = reader.parsed_or(
                "auth.htpasswd.realm",
                DEFAULT_REALM.to_owned(),
                DEFAULT_REALM,
                |text| header_text(text).map(str::to_owned),
            );
            let path = reader.text("auth.htpasswd.path");
            if path.is_none() {
                reader.problem("auth.htpasswd.path", "must be set: the htpasswd file (`moorage-registry hash-password USER` makes its lines)");
            }
            Some(Auth::Htpasswd {
                realm,
                path: PathBuf::from(path?),
            })
        }
        "token" => {
            // With parameters it has been refused when the keys were looked at.
            if reader.node("auth.token").is_none() {
                reader.problem("auth.token", schema::refusal("auth.token"));
            }
            None
        }
        _ => {
            reader.problem(
                "auth",
                format!("there is no provider {name:?}: htpasswd, silly and none are supported"),
            );
            None
        }
    }
}

fn required(reader: &mut Reader<'_>, path: &str) -> Option<String> {
    if reader.node(path).is_none() {
        reader.problem(path, "must be set");
    }
    reader.parsed(path, Show::Plainly, |text| {
        header_text(text).map(str::to_owned)
    })
}

/// Text that may stand between quotes in `WWW-Authenticate`.
fn header_text(text: &str) -> Result<&str, String> {
    if text.chars().any(char::is_control) || text.len() > 256 {
        return Err(
            "up to 256 bytes without control characters are possible: it is sent in a header"
                .to_owned(),
        );
    }
    Ok(text)
}
