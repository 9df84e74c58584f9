//! No authentication: anybody may do anything.

use async_trait::async_trait;

use super::{Access, Authorizer, Denied, Identity};

/// Lets everybody in and asks for nothing, whatever they send.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

#[async_trait]
impl Authorizer for Anonymous {
    async fn authorize(&self, _: Option<&str>, _: &[Access]) -> Result<Identity, Denied> {
        Ok(Identity { user: None })
    }
}
