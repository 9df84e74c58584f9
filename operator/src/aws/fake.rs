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
    AccessKeyId, AccountId, BucketState, CertificateArn, CertificateState, Cloud, Desired, DesiredIdentity, Error, Existing,
    KeyState, Kind, ManagedPolicyState, NewAccessKey, Observed, PolicyDocument, PolicyKind, Region, Step, StepOutcome, UserState,
    conformance::{self, Stage},
    desired::TAG_CLUSTER,
    error::Call,
    policy::POLICY_NAME,
    step::Leftovers,
};

/// Objects that one [`Step::EmptyBucket`] deletes.
const OBJECTS_PER_CALL: usize = 10_000;

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
#[derive(Clone, Debug)]
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
        Self { world: Mutex::new(world) }
    }
}

impl FakeCloud {
    /// What there is, to look at and to change.
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
        self.world().failures.entry(operation.to_owned()).or_default().push_back(kind);
    }
}

impl World {
    fn arrive(&mut self, operation: &str, call: String) -> Result<(), Error> {
        self.calls.push(call);
        match self.failures.get_mut(operation).and_then(VecDeque::pop_front) {
            Some(kind) => Err(Call::new("fake:Call", operation).refused(kind)),
            None => Ok(()),
        }
    }

    /// An empty bucket of our account, as a person makes one.
    pub fn make_bucket(&mut self, name: &str, region: &str) -> &mut FakeBucket {
        let bucket = FakeBucket {
            account: self.account.clone(),
            region: region.parse().unwrap(),
            tags: BTreeMap::new(),
            created: self.now,
            objects: BTreeSet::new(),
            uploads: BTreeSet::new(),
        };
        self.buckets.entry(name.to_owned()).insert_entry(bucket).into_mut()
    }

    fn bucket_state(&self, want: &Desired) -> BucketState {
        let Some(found) = self.buckets.get(want.bucket.name.as_str()) else { return BucketState::Absent };
        if found.account != self.account {
            return BucketState::Forbidden;
        }
        if found.region != want.bucket.region {
            return BucketState::Present { region: found.region.clone(), tags: BTreeMap::new(), created: None };
        }
        let contested = want.bucket.store.is_aws()
            && want.bucket.existing == Existing::Refuse
            && !found.tags.contains_key(TAG_CLUSTER);
        BucketState::Present {
            region: found.region.clone(),
            tags: found.tags.clone(),
            created: contested.then_some(found.created),
        }
    }

    fn observe(&self, want: &Desired) -> Observed {
        let reads_managed = matches!(want.identity, DesiredIdentity::IamUser { policy: PolicyKind::Managed, .. });
        let asks_aws = want.bucket.store.is_aws() || want.identity.user().is_some();
        let user = want.identity.user().and_then(|name| {
            let found = self.users.get(name.as_str())?;
            Some(UserState {
                arn: format!("arn:aws:iam::{}:user{}{name}", self.account, found.path),
                path: found.path.clone(),
                tags: found.tags.clone(),
                inline: found
                    .inline
                    .get(POLICY_NAME)
                    .map(|document| if reads_managed { PolicyDocument::unread() } else { document.clone() }),
                other_inline: found.inline.keys().filter(|policy| *policy != POLICY_NAME).cloned().collect(),
                attached: found.attached.iter().cloned().collect(),
                keys: found.keys.clone(),
            })
        });
        let managed_policy = want.identity.user().and_then(|name| {
            let arn = want.policy_arn(&self.account, name);
            let found = self.policies.get(&arn)?;
            let others = found.versions.keys().filter(|version| **version != found.default);
            Some(ManagedPolicyState {
                other_versions: others.map(|version| format!("v{version}")).collect(),
                document: found.versions.get(&found.default).filter(|_| reads_managed).cloned(),
                arn,
            })
        });
        let certificate = match &want.certificate {
            None => CertificateState::NotAsked,
            Some(arn) => match (self.certificates.get(arn.as_str()), arn) {
                (None, _) => CertificateState::NotFound,
                (Some((domain, not_after)), CertificateArn::Acm { .. }) => {
                    CertificateState::Found { domain: domain.clone(), not_after: *not_after }
                }
                (Some((_, not_after)), CertificateArn::IamServerCertificate { .. }) => {
                    CertificateState::Found { domain: None, not_after: *not_after }
                }
            },
        };
        Observed {
            account: asks_aws.then(|| self.account.clone()),
            bucket: self.bucket_state(want),
            user,
            managed_policy,
            certificate,
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

    fn carry_out_on_bucket(&mut self, step: &Step) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreateBucket { bucket, region, tags } => {
                match self.buckets.get(bucket.as_str()) {
                    Some(found) if found.account != self.account => {
                        return Err(Kind::OwnedElsewhere { owner: "another account".to_owned() });
                    }
                    Some(_) if region.as_str() == Region::US_EAST_1 => return Ok(StepOutcome::Done),
                    Some(_) => return Err(conflict()),
                    None => {}
                }
                let tags = if self.tags_at_creation { tags.clone() } else { BTreeMap::new() };
                self.make_bucket(bucket.as_str(), region.as_str()).tags = tags;
            }
            Step::TagBucket { bucket, tags } => {
                let found = self.buckets.get_mut(bucket.as_str()).ok_or(Kind::NotFound)?;
                found.tags.extend(tags.clone());
            }
            Step::ClaimBucket { bucket, tags } => {
                let found = self.buckets.get_mut(bucket.as_str()).ok_or(Kind::NotFound)?;
                let is_done = tags.iter().all(|(key, value)| found.tags.get(key) == Some(value));
                if !is_done && (found.tags.contains_key(TAG_CLUSTER) || !found.objects.is_empty()) {
                    return Err(conflict());
                }
                found.tags.extend(tags.clone());
            }
            Step::EmptyBucket { bucket, prefix } => {
                let Some(found) = self.buckets.get_mut(bucket.as_str()) else { return Ok(StepOutcome::Done) };
                let start = prefix.key_start();
                let batch: Vec<_> =
                    found.objects.iter().filter(|key| key.starts_with(&start)).take(OBJECTS_PER_CALL).cloned().collect();
                for key in &batch {
                    found.objects.remove(key);
                }
                let uploads = found.uploads.len();
                if batch.len() < OBJECTS_PER_CALL {
                    found.uploads.retain(|key| !key.starts_with(&start));
                }
                if batch.len() == OBJECTS_PER_CALL || found.uploads.len() < uploads {
                    return Ok(StepOutcome::MoreToDo { progress: format!("{} objects deleted", batch.len()) });
                }
            }
            Step::DeleteBucket { bucket, leftovers } => {
                let Some(found) = self.buckets.get(bucket.as_str()) else { return Ok(StepOutcome::Done) };
                match (found.objects.is_empty(), leftovers) {
                    (true, _) => drop(self.buckets.remove(bucket.as_str())),
                    (false, Leftovers::Keep) => {}
                    (false, Leftovers::Fail) => return Err(conflict()),
                }
            }
            other => unreachable!("not about a bucket: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    fn carry_out_on_policy(&mut self, want: &Desired, step: &Step) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreatePolicy { name, document, .. } => {
                let arn = want.policy_arn(&self.account, name);
                if self.policies.contains_key(&arn) {
                    return Err(conflict());
                }
                let versions = BTreeMap::from([(1, document.clone())]);
                self.policies.insert(arn, FakePolicy { versions, default: 1 });
            }
            Step::CreatePolicyVersion { arn, document } => {
                let found = self.policies.get_mut(arn).ok_or(Kind::NotFound)?;
                if found.versions.len() >= 5 {
                    return Err(Kind::LimitExceeded { message: "5 versions".to_owned() });
                }
                found.default = found.versions.keys().max().map_or(1, |newest| newest + 1);
                found.versions.insert(found.default, document.clone());
            }
            Step::DeletePolicyVersion { arn, version } => {
                let Some(found) = self.policies.get_mut(arn) else { return Ok(StepOutcome::Done) };
                let number = version.trim_start_matches('v').parse().unwrap();
                if number == found.default {
                    return Err(conflict());
                }
                found.versions.remove(&number);
            }
            Step::DeletePolicy { arn } => {
                let is_attached = self.users.values().any(|user| user.attached.contains(arn));
                if is_attached || self.policies.get(arn).is_some_and(|found| found.versions.len() > 1) {
                    return Err(conflict());
                }
                self.policies.remove(arn);
            }
            other => unreachable!("not about a policy: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    fn carry_out_on_user(&mut self, step: &Step) -> Result<StepOutcome, Kind> {
        let now = self.now;
        match step {
            Step::CreateUser { user, path, tags } => {
                if self.users.contains_key(user.as_str()) {
                    return Err(conflict());
                }
                let made = FakeUser {
                    path: path.clone(),
                    tags: tags.clone(),
                    inline: BTreeMap::new(),
                    attached: BTreeSet::new(),
                    keys: Vec::new(),
                };
                self.users.insert(user.to_string(), made);
            }
            Step::DeleteUser { user } => {
                let Some(found) = self.users.get(user.as_str()) else { return Ok(StepOutcome::Done) };
                if !found.keys.is_empty() || !found.inline.is_empty() || !found.attached.is_empty() {
                    return Err(conflict());
                }
                self.users.remove(user.as_str());
            }
            Step::TagUser { user, tags } => self.user(user.as_str())?.tags.extend(tags.clone()),
            Step::PutUserPolicy { user, document } => {
                self.user(user.as_str())?.inline.insert(POLICY_NAME.to_owned(), document.clone());
            }
            Step::DeleteUserPolicy { user, policy } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.inline.remove(policy);
                }
            }
            Step::AttachPolicy { user, arn } => {
                if !self.policies.contains_key(arn) {
                    return Err(Kind::NotFound);
                }
                self.user(user.as_str())?.attached.insert(arn.clone());
            }
            Step::DetachPolicy { user, arn } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.attached.remove(arn);
                }
            }
            Step::CreateAccessKey { user } => {
                self.keys_made += 1;
                let id: AccessKeyId = format!("AKIAFAKE{:08}", self.keys_made).parse().unwrap();
                let secret = format!("secret-{}", self.keys_made).into();
                let found = self.user(user.as_str())?;
                if found.keys.len() >= 2 {
                    return Err(Kind::LimitExceeded { message: "AccessKeysPerUser: 2".to_owned() });
                }
                found.keys.push(KeyState { id: id.clone(), active: true, created: now });
                return Ok(StepOutcome::KeyCreated(NewAccessKey { id, secret }));
            }
            Step::DeleteAccessKey { user, id } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.keys.retain(|key| key.id != *id);
                }
            }
            other => unreachable!("not about a user: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    fn user(&mut self, name: &str) -> Result<&mut FakeUser, Kind> {
        self.users.get_mut(name).ok_or(Kind::NotFound)
    }
}

fn conflict() -> Kind {
    Kind::Conflict { message: "in the way".to_owned() }
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
        world.carry_out(desired, step).map_err(|kind| Call::new("fake:Step", step.to_string()).refused(kind))
    }
}

/// The hands of other people, on the fake.
#[async_trait]
impl Stage for FakeCloud {
    fn cloud(&self) -> &dyn Cloud {
        self
    }

    fn requests(&self) -> Option<u64> {
        None
    }

    async fn make_bucket(&self, bucket: &str, region: &str, tags: &[(&str, &str)]) {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.world().make_bucket(bucket, region).tags = tags;
    }

    fn bucket_of_another_account(&self) -> String {
        self.world().make_bucket("foreign-bucket", "eu-west-1").account = "999999999999".parse().unwrap();
        "foreign-bucket".to_owned()
    }

    async fn put_object(&self, bucket: &str, key: &str) {
        self.world().buckets.get_mut(bucket).unwrap().objects.insert(key.to_owned());
    }

    async fn begin_upload(&self, bucket: &str, key: &str) {
        self.world().buckets.get_mut(bucket).unwrap().uploads.insert(key.to_owned());
    }

    async fn keep_versions(&self, _bucket: &str) {}

    async fn delete_object(&self, bucket: &str, key: &str) {
        self.world().buckets.get_mut(bucket).unwrap().objects.remove(key);
    }

    async fn keys(&self, bucket: &str) -> Option<Vec<String>> {
        Some(self.world().buckets.get(bucket)?.objects.iter().cloned().collect())
    }

    async fn make_user(&self, user: &str) {
        let made = FakeUser {
            path: "/".to_owned(),
            tags: BTreeMap::new(),
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
            keys: Vec::new(),
        };
        self.world().users.insert(user.to_owned(), made);
    }

    async fn add_inline_policy(&self, user: &str, policy: &str) {
        let document = PolicyDocument::parse("{}");
        self.world().users.get_mut(user).unwrap().inline.insert(policy.to_owned(), document);
    }

    async fn attach_a_policy(&self, user: &str) -> String {
        let arn = "arn:aws:iam::123456789012:policy/wide".to_owned();
        let versions = BTreeMap::from([(1, PolicyDocument::parse("{}"))]);
        self.world().policies.insert(arn.clone(), FakePolicy { versions, default: 1 });
        self.world().users.get_mut(user).unwrap().attached.insert(arn.clone());
        arn
    }

    async fn deactivate_key(&self, user: &str, id: &AccessKeyId) {
        let mut world = self.world();
        world.user(user).unwrap().keys.iter_mut().find(|key| key.id == *id).unwrap().active = false;
    }

    async fn acm_certificate(&self, domain: &str) -> CertificateArn {
        let arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0f".to_owned();
        self.world().certificates.insert(arn.clone(), (Some(domain.to_owned()), None));
        arn.parse().unwrap()
    }

    async fn server_certificate(&self, name: &str) -> CertificateArn {
        let arn = format!("arn:aws:iam::123456789012:server-certificate/{name}");
        self.world().certificates.insert(arn.clone(), (None, None));
        arn.parse().unwrap()
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
