//! Authentication that believes everybody: any `Authorization` passes, none is answered with a challenge.
//!
//! It exists to try how a client behaves when it is challenged. It protects nothing.

use async_trait::async_trait;

use super::{
    Access, Authorizer, Denied, Identity,
    challenge::{quoted, scope},
};

/// Believes everybody who says anything.
#[derive(Debug, Clone)]
pub struct Silly {
    realm: String,
    service: String,
}

impl Silly {
    /// `realm` and `service` appear in the challenge.
    #[must_use]
    pub fn new(realm: String, service: String) -> Self {
        Self { realm, service }
    }
}

#[async_trait]
impl Authorizer for Silly {
    async fn authorize(
        &self,
        authorization: Option<&str>,
        wanted: &[Access],
    ) -> Result<Identity, Denied> {
        if authorization.is_some_and(|value| !value.is_empty()) {
            return Ok(Identity {
                user: Some("silly".to_owned()),
            });
        }
        let scope = match wanted {
            [] => String::new(),
            wanted => format!(",scope={}", quoted(&scope(wanted))),
        };
        let (realm, service) = (quoted(&self.realm), quoted(&self.service));
        let challenge = format!("Bearer realm={realm},service={service}{scope}");
        Err(Denied::Unauthenticated { challenge })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::Action, registry::RepositoryName};

    #[tokio::test]
    async fn the_challenge_names_what_was_wanted() {
        let silly = Silly::new("http://localhost/token".into(), "test".into());
        let name: RepositoryName = "lib/a".parse().unwrap();
        let wanted = [Action::Pull, Action::Push].map(|action| Access::Repository {
            name: name.clone(),
            action,
        });
        let expected = r#"Bearer realm="http://localhost/token",service="test",scope="repository:lib/a:pull repository:lib/a:push""#;
        assert_eq!(
            silly.authorize(None, &wanted).await,
            Err(Denied::Unauthenticated {
                challenge: expected.to_owned()
            })
        );
        assert!(silly.authorize(Some("anything"), &wanted).await.is_ok());
    }
}
