//! AWS in memory, for the tests of everything that stands on [`Cloud`].
//!
//! It passes the same list of cases as the real thing ([`super::conformance`]), so that a test with it means something. Beyond
//! that it counts calls and fails on demand. It knows no policies: everything is allowed that is not made to fail.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    AccountId, CertificateArn, CertificateState, Cloud, Desired, Error, KeyState, Kind, Observed,
    PolicyDocument, Region, Step, StepOutcome, conformance, error::Call,
};

mod bucket;
mod identity;
mod stage;

/// All of AWS.
#[derive(Debug)]
pub struct FakeCloud {
    world: Mutex<World>,
}

/// What there is, open to the tests.
#[derive(Clone, Debug)]
pub struct World {
    /// The account of the operator.
    pub account: AccountId,
    /// All buckets of all accounts.
    pub buckets: BTreeMap<String, FakeBucket>,
    /// The users of our account.
    pub users: BTreeMap<String, FakeUser>,
    /// The managed policies of our account, by ARN: the texts of their versions, by id, and which is the default.
    pub policies: BTreeMap<String, FakePolicy>,
    /// The certificates of our account, by ARN.
    pub certificates: BTreeMap<String, (Option<String>, Option<Timestamp>)>,
    /// What time it is.
    pub now: Timestamp,
    /// Whether `CreateBucket` puts tags on, as AWS does and moto does not.
    pub tags_at_creation: bool,
    calls: Vec<String>,
    failures: BTreeMap<String, VecDeque<Kind>>,
    keys_made: usize,
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct FakeBucket {
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub region: Region,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
    /// The keys of what is in it. Versions and unfinished uploads count as more of them.
    pub objects: BTreeSet<String>,
    /// The keys of the unfinished uploads, which do not keep a bucket from being deleted.
    pub uploads: BTreeSet<String>,
}

/// A user.
#[derive(Clone, Debug, Default)]
pub struct FakeUser {
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its inline policies, by name.
    pub inline: BTreeMap<String, PolicyDocument>,
    /// The ARNs of the managed policies attached to it.
    pub attached: BTreeSet<String>,
    /// Its keys, oldest first.
    pub keys: Vec<KeyState>,
}

/// A managed policy.
#[derive(Clone, Debug)]
pub struct FakePolicy {
    /// The texts of its versions, by number.
    pub versions: BTreeMap<u32, PolicyDocument>,
    /// The number of the default version.
    pub default: u32,
}

impl Default for FakeCloud {
    fn default() -> Self {
        let world = World {
            account: "123456789012".parse().unwrap(),
            buckets: BTreeMap::new(),
            users: BTreeMap::new(),
            policies: BTreeMap::new(),
            certificates: BTreeMap::new(),
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            tags_at_creation: true,
            calls: Vec::new(),
            failures: BTreeMap::new(),
            keys_made: 0,
        };
        Self {
            world: Mutex::new(world),
        }
    }
}

impl FakeCloud {
    /// What there is, to look at and to change.
    ///
    /// # Panics
    /// When a test has failed while it held it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// What was called, in order: `"observe"`, or the sentence of a step. A call that failed counts.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// Forgets the calls so far, and returns them.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.world().calls)
    }

    /// Lets the next call of this operation fail, before it does anything. `operation` is `"observe"` or the name of a step's
    /// variant: `"CreateBucket"`. Said twice, the next two fail.
    pub fn fail_next(&self, operation: &str, kind: Kind) {
        self.world()
            .failures
            .entry(operation.to_owned())
            .or_default()
            .push_back(kind);
    }
}

impl World {
    fn arrive(&mut self, operation: &str, call: String) -> Result<(), Error> {
        self.calls.push(call);
        match self
            .failures
            .get_mut(operation)
            .and_then(VecDeque::pop_front)
        {
            Some(kind) => Err(Call::new("fake:Call", operation).refused(kind)),
            None => Ok(()),
        }
    }

    /// An empty bucket of our account, as a person makes one.
    ///
    /// # Panics
    /// When `region` is none.
    pub fn make_bucket(&mut self, name: &str, region: &str) -> &mut FakeBucket {
        let bucket = FakeBucket {
            account: self.account.clone(),
            region: region.parse().unwrap(),
            tags: BTreeMap::new(),
            created: self.now,
            objects: BTreeSet::new(),
            uploads: BTreeSet::new(),
        };
        self.buckets
            .entry(name.to_owned())
            .insert_entry(bucket)
            .into_mut()
    }

    fn observe(&self, want: &Desired) -> Observed {
        let asks_aws = want.bucket.store.is_aws() || want.identity.user().is_some();
        Observed {
            account: asks_aws.then(|| self.account.clone()),
            bucket: self.bucket_state(want),
            user: want
                .identity
                .user()
                .and_then(|user| self.user_state(want, user)),
            managed_policy: want
                .identity
                .user()
                .and_then(|user| self.policy_state(want, user)),
            certificate: self.certificate_state(want),
        }
    }

    fn certificate_state(&self, want: &Desired) -> CertificateState {
        let Some(arn) = &want.certificate else {
            return CertificateState::NotAsked;
        };
        let Some((domain, not_after)) = self.certificates.get(arn.as_str()) else {
            return CertificateState::NotFound;
        };
        // IAM does not say what a certificate is for.
        let domain = match arn {
            CertificateArn::Acm { .. } => domain.clone(),
            CertificateArn::IamServerCertificate { .. } => None,
        };
        CertificateState::Found {
            domain,
            not_after: *not_after,
        }
    }

    fn carry_out(&mut self, want: &Desired, step: &Step) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreateBucket { .. }
            | Step::TagBucket { .. }
            | Step::ClaimBucket { .. }
            | Step::EmptyBucket { .. }
            | Step::DeleteBucket { .. } => self.carry_out_on_bucket(step),
            Step::CreatePolicy { .. }
            | Step::CreatePolicyVersion { .. }
            | Step::DeletePolicyVersion { .. }
            | Step::DeletePolicy { .. } => self.carry_out_on_policy(want, step),
            Step::CreateUser { .. }
            | Step::TagUser { .. }
            | Step::PutUserPolicy { .. }
            | Step::DeleteUserPolicy { .. }
            | Step::AttachPolicy { .. }
            | Step::DetachPolicy { .. }
            | Step::CreateAccessKey { .. }
            | Step::DeleteAccessKey { .. }
            | Step::DeleteUser { .. } => self.carry_out_on_user(step),
        }
    }
}

fn conflict() -> Kind {
    Kind::Conflict {
        message: "in the way".to_owned(),
    }
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn observe(&self, desired: &Desired) -> Result<Observed, Error> {
        let mut world = self.world();
        world.arrive("observe", "observe".to_owned())?;
        Ok(world.observe(desired))
    }

    async fn carry_out(&self, desired: &Desired, step: &Step) -> Result<StepOutcome, Error> {
        let mut world = self.world();
        world.arrive(step.into(), step.to_string())?;
        world
            .carry_out(desired, step)
            .map_err(|kind| Call::new("fake:Step", step.to_string()).refused(kind))
    }
}

#[tokio::test]
async fn the_cloud_in_memory_does_what_a_cloud_does() {
    conformance::run(&FakeCloud::default()).await;
}

/// As moto, and as S3 before it had tags at creation.
#[tokio::test]
async fn the_cloud_in_memory_does_so_without_tags_at_creation_too() {
    let cloud = FakeCloud::default();
    cloud.world().tags_at_creation = false;
    conformance::run(&cloud).await;
}
