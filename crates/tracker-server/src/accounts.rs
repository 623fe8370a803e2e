//! Users, their keys and teams, kept as records.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;
use tracker_model::{
    EntityName, Error, ErrorKind, Record, RecordCondition, RecordStore, Result, Timestamp,
};

const USERS: &str = "user";
const KEYS: &str = "api-key";
const TEAMS: &str = "team";
const SERVER: &str = "server";

/// The user that a store without users gets, and the entity that imports go to.
pub const LOCAL: &str = "local";

/// The fewest characters of an API key.
pub const MIN_KEY_LENGTH: usize = 8;
/// The most.
const MAX_KEY_LENGTH: usize = 512;

/// The most characters of an address for mail.
const MAX_EMAIL_LENGTH: usize = 254;

/// How long the answer to "whose key is this" is believed: so soon is a change seen by a running
/// server.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How many keys are remembered.
const REMEMBERED: usize = 10_000;

/// Somebody who may use the server. Owner of the entity with the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The name, and that of the user's entity.
    pub name: EntityName,
    /// The address for mail, if known.
    pub email: Option<String>,
    /// Whether every entity is open to the user.
    pub admin: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// What is known of a key. The key itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// Names the key, for deleting it.
    #[serde(skip)]
    pub id: String,
    /// Whose it is.
    pub user: EntityName,
    /// What its owner says of it.
    pub description: Option<String>,
    /// Its first characters, by which its owner knows it again.
    pub hint: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a member of a team may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and write.
    Member,
    /// Read, write, and say who is in the team.
    Admin,
}

impl Role {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// An entity of several users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Team {
    /// The name, and that of the team's entity.
    pub name: EntityName,
    /// Who is in it.
    pub members: BTreeMap<EntityName, Role>,
    /// Since when.
    pub created_at: Timestamp,
}

/// Who makes a request, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) user: User,
    pub(crate) teams: BTreeMap<EntityName, Role>,
}

impl Viewer {
    pub(crate) fn may_read(&self, entity: &EntityName) -> bool {
        self.user.admin || *entity == self.user.name || self.teams.contains_key(entity)
    }

    pub(crate) fn may_write(&self, entity: &EntityName) -> bool {
        let role = self.teams.get(entity);
        self.user.admin || *entity == self.user.name || role.is_some_and(|r| *r >= Role::Member)
    }

    /// Whether contents may be named by their digests alone, whosever they are.
    pub(crate) fn names_contents(&self) -> bool {
        // Whoever knows a digest could get at the contents of others that way.
        self.user.admin
    }

    /// Refuses whoever may not name contents by their digests.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn may_name_contents(&self) -> Result<()> {
        match self.names_contents() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::PermissionDenied,
                "contents are named by their digests by admins alone",
            )),
        }
    }

    pub(crate) fn may_manage(&self, entity: &EntityName) -> bool {
        self.user.admin || self.teams.get(entity) == Some(&Role::Admin)
    }
}

/// The accounts of a server. Changes are seen by all servers over the same records within a second.
#[derive(Clone)]
pub struct Accounts {
    records: Arc<dyn RecordStore>,
    /// What is mixed into the hashes of keys; of this store alone.
    salt: [u8; 32],
    known: Arc<Known>,
}

struct Known {
    /// Hashes the keys that are remembered, so that none lies in memory.
    seed: [u8; 32],
    keys: Mutex<HashMap<[u8; 32], (String, Viewers)>>,
    /// Slow hashes cost memory and time: few at once.
    hashing: Semaphore,
}

type Viewers = (Instant, Option<Arc<Viewer>>);

impl Accounts {
    /// The accounts in these records.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn open(records: Arc<dyn RecordStore>) -> Result<Self> {
        let salt = secret(&*records, "key-salt").await?;
        let known = Arc::new(Known {
            seed: random()?,
            keys: Mutex::default(),
            hashing: Semaphore::new(2),
        });
        Ok(Self {
            records,
            salt,
            known,
        })
    }

    /// Makes the user `local`, an admin, if there is no user, and answers its key, which cannot be
    /// asked for again.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn ensure_one(&self) -> Result<Option<SecretString>> {
        if self.users().await?.is_empty() {
            match self.add_user(LOCAL.parse()?, true, None).await {
                Ok((_, key)) => return Ok(Some(key)),
                // Another server was faster.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// Adds a user with a key: this one, or a new one of 40 random digits.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a user or a team of that name, or the key is another user's;
    /// `InvalidInput` for a key that is too short or cannot be typed; those of the records.
    pub async fn add_user(
        &self,
        name: EntityName,
        admin: bool,
        key: Option<SecretString>,
    ) -> Result<(User, SecretString)> {
        let key = key.map_or_else(new_key, Ok)?;
        check_key(&key)?;
        let user = self.put_user(name.clone(), None, admin).await?;
        if let Err(e) = self.add_key(&name, &key, None).await {
            self.records.delete_record(USERS, name.as_str()).await?;
            return Err(e);
        }
        Ok((user, key))
    }

    /// Adds a user who has no key yet, by an address for mail: what it says before the `@` is the
    /// name.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a user or a team of that name; `InvalidInput` for what is no
    /// address or begins with no name; those of the records.
    pub(crate) async fn add_user_by_email(&self, email: String, admin: bool) -> Result<User> {
        let name = match email.split_once('@') {
            Some((name, host)) if !host.is_empty() && email.len() <= MAX_EMAIL_LENGTH => {
                name.parse()?
            }
            _ => return Err(Error::invalid(format!("{email:.80?} is no e-mail address"))),
        };
        self.put_user(name, Some(email), admin).await
    }

    async fn put_user(&self, name: EntityName, email: Option<String>, admin: bool) -> Result<User> {
        if self.team(&name).await?.is_some() {
            let message = format!("there is a team {name} already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let user = User {
            name,
            email,
            admin,
            created_at: Timestamp::now(),
        };
        let name = user.name.as_str();
        self.put(USERS, name, &user, RecordCondition::Absent)
            .await
            .map_err(|e| exists(e, || format!("there is a user {name} already")))?;
        Ok(user)
    }

    /// Gives a user one more key, of 40 random digits.
    ///
    /// # Errors
    /// `NotFound` without the user; those of the records.
    pub async fn generate_key(
        &self,
        user: &EntityName,
        description: Option<String>,
    ) -> Result<(ApiKey, SecretString)> {
        self.user(user)
            .await?
            .ok_or_else(|| Error::not_found(format_args!("user {user}")))?;
        let key = new_key()?;
        let known = self.add_key(user, &key, description).await?;
        Ok((known, key))
    }

    async fn add_key(
        &self,
        user: &EntityName,
        key: &SecretString,
        description: Option<String>,
    ) -> Result<ApiKey> {
        let id = self.key_id(key.expose_secret()).await?;
        let shown = key.expose_secret().chars().count().min(20) / 5;
        let known = ApiKey {
            id: id.clone(),
            user: user.clone(),
            description,
            hint: key.expose_secret().chars().take(shown).collect(),
            created_at: Timestamp::now(),
        };
        self.put(KEYS, &id, &known, RecordCondition::Absent)
            .await
            .map_err(|e| exists(e, || "this key is in use; take another one".to_owned()))?;
        self.forget();
        Ok(known)
    }

    /// The users, by name.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn users(&self) -> Result<Vec<User>> {
        let records: Vec<Record> = self.records.records(USERS, "").try_collect().await?;
        records.into_iter().map(read).collect()
    }

    /// One user.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn user(&self, name: &EntityName) -> Result<Option<User>> {
        self.get(USERS, name.as_str()).await
    }

    /// The keys of a user, oldest first.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn keys(&self, user: &EntityName) -> Result<Vec<ApiKey>> {
        let mut records = self.records.records(KEYS, "");
        let mut keys = Vec::new();
        while let Some(record) = records.try_next().await? {
            let id = record.key.clone();
            let key: ApiKey = read(record)?;
            if key.user == *user {
                keys.push(ApiKey { id, ..key });
            }
        }
        keys.sort_by_key(|key| key.created_at);
        Ok(keys)
    }

    /// Takes a key away from its user. Answers whether there was one.
    ///
    /// # Errors
    /// `PermissionDenied` if it is another user's; those of the records.
    pub async fn delete_key(&self, user: &EntityName, id: &str) -> Result<bool> {
        match self.get::<ApiKey>(KEYS, id).await? {
            Some(key) if key.user != *user => Err(Error::new(
                ErrorKind::PermissionDenied,
                "the key belongs to another user",
            )),
            Some(_) => {
                let deleted = self.records.delete_record(KEYS, id).await?;
                self.forget();
                Ok(deleted)
            }
            None => Ok(false),
        }
    }

    /// Deletes a user with all keys and memberships. What the user logged stays.
    ///
    /// # Errors
    /// `NotFound`; those of the records.
    pub async fn delete_user(&self, name: &EntityName) -> Result<()> {
        if !self.records.delete_record(USERS, name.as_str()).await? {
            return Err(Error::not_found(format_args!("user {name}")));
        }
        for key in self.keys(name).await? {
            self.records.delete_record(KEYS, &key.id).await?;
        }
        for team in self.teams().await? {
            if team.members.contains_key(name) {
                self.change_team(&team.name, |team| team.members.remove(name).is_some())
                    .await?;
            }
        }
        self.forget();
        Ok(())
    }

    /// The teams, by name.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn teams(&self) -> Result<Vec<Team>> {
        let records: Vec<Record> = self.records.records(TEAMS, "").try_collect().await?;
        records.into_iter().map(read).collect()
    }

    /// One team.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn team(&self, name: &EntityName) -> Result<Option<Team>> {
        self.get(TEAMS, name.as_str()).await
    }

    /// Makes a team with one member, its admin.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a user or a team of that name; `NotFound` without the user;
    /// those of the records.
    pub async fn add_team(&self, name: EntityName, admin: &EntityName) -> Result<Team> {
        if self.user(&name).await?.is_some() {
            let message = format!("there is a user {name} already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        self.user(admin)
            .await?
            .ok_or_else(|| Error::not_found(format_args!("user {admin}")))?;
        let team = Team {
            name: name.clone(),
            members: BTreeMap::from([(admin.clone(), Role::Admin)]),
            created_at: Timestamp::now(),
        };
        self.put(TEAMS, name.as_str(), &team, RecordCondition::Absent)
            .await
            .map_err(|e| exists(e, || format!("there is a team {name} already")))?;
        self.forget();
        Ok(team)
    }

    /// Puts a user into a team, makes the team if there is none, or changes what the user may do
    /// there; `None` takes the user out.
    ///
    /// # Errors
    /// `NotFound` without the user or, to take somebody out, the team; those of the records.
    pub async fn set_member(
        &self,
        team: &EntityName,
        user: &EntityName,
        role: Option<Role>,
    ) -> Result<()> {
        self.user(user)
            .await?
            .ok_or_else(|| Error::not_found(format_args!("user {user}")))?;
        if let (Some(_), None) = (role, self.team(team).await?) {
            self.add_team(team.clone(), user).await?;
        }
        self.change_team(team, |team| match role {
            Some(role) => team.members.insert(user.clone(), role) != Some(role),
            None => team.members.remove(user).is_some(),
        })
        .await
    }

    async fn change_team(
        &self,
        name: &EntityName,
        change: impl Fn(&mut Team) -> bool + Send,
    ) -> Result<()> {
        loop {
            let Some(record) = self.records.record(TEAMS, name.as_str()).await? else {
                return Err(Error::not_found(format_args!("team {name}")));
            };
            let pre = RecordCondition::Version(record.version);
            let mut team: Team = read(record)?;
            if !change(&mut team) {
                return Ok(());
            }
            match self.put(TEAMS, name.as_str(), &team, pre).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                done => {
                    self.forget();
                    return done;
                }
            }
        }
    }

    /// Whose key this is.
    pub(crate) async fn viewer(&self, key: &str) -> Result<Option<Arc<Viewer>>> {
        let known = self.identify(key).await?;
        Ok(known.map(|(_, viewer)| viewer))
    }

    /// The id of a key, and whose it is.
    pub(crate) async fn identify(&self, key: &str) -> Result<Option<(String, Arc<Viewer>)>> {
        if !(MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&key.len()) {
            return Ok(None);
        }
        let memo = *blake3::keyed_hash(&self.known.seed, key.as_bytes()).as_bytes();
        let remembered = self.lock().get(&memo).cloned();
        if let Some((id, (at, viewer))) = &remembered
            && at.elapsed() < BELIEVED_FOR
        {
            return Ok(viewer.clone().map(|viewer| (id.clone(), viewer)));
        }
        let id = match remembered {
            Some((id, _)) => id,
            None => self.key_id(key).await?,
        };
        let viewer = self.viewer_of(&id).await?;
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(memo, (id.clone(), (Instant::now(), viewer.clone())));
        Ok(viewer.map(|viewer| (id, viewer)))
    }

    /// Whose the key with this id is, as of now.
    pub(crate) async fn viewer_of(&self, id: &str) -> Result<Option<Arc<Viewer>>> {
        let Some(key) = self.get::<ApiKey>(KEYS, id).await? else {
            return Ok(None);
        };
        let Some(user) = self.user(&key.user).await? else {
            return Ok(None);
        };
        let teams = self.teams().await?.into_iter().filter_map(|team| {
            let role = *team.members.get(&user.name)?;
            Some((team.name, role))
        });
        let teams = teams.collect();
        Ok(Some(Arc::new(Viewer { user, teams })))
    }

    /// The name under which a key is kept: a slow hash, as keys may be short.
    async fn key_id(&self, key: &str) -> Result<String> {
        let (key, salt) = (SecretString::from(key), self.salt);
        let _permit = self.known.hashing.acquire().await;
        let hash = tokio::task::spawn_blocking(move || {
            let mut out = [0; 32];
            let params = argon2::Params::new(8 * 1024, 2, 1, Some(out.len())).unwrap_or_default();
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
                .hash_password_into(key.expose_secret().as_bytes(), &salt, &mut out)
                .map(|()| out)
        });
        match hash.await {
            Ok(Ok(hash)) => Ok(hex::encode(hash)),
            _ => Err(Error::new(
                ErrorKind::Unexpected,
                "a key could not be hashed",
            )),
        }
    }

    fn forget(&self) {
        for (_, (_, (at, _))) in self.lock().iter_mut() {
            if let Some(past) = at.checked_sub(BELIEVED_FOR) {
                *at = past;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (String, Viewers)>> {
        self.known
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn get<T: DeserializeOwned>(&self, space: &str, key: &str) -> Result<Option<T>> {
        let record = self.records.record(space, key).await?;
        record.map(read).transpose()
    }

    async fn put<T: Serialize + Sync>(
        &self,
        space: &str,
        key: &str,
        value: &T,
        pre: RecordCondition,
    ) -> Result<()> {
        let json = serde_json::to_value(value)
            .map_err(|e| Error::new(ErrorKind::Unexpected, "write a record").with_source(e))?;
        self.records
            .put_record(space, key, json, pre)
            .await
            .map(drop)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

fn read<T: DeserializeOwned>(record: Record) -> Result<T> {
    serde_json::from_value(record.value).map_err(|e| {
        let message = format!("the record {:?} is damaged", record.key);
        Error::new(ErrorKind::Corrupt, message).with_source(e)
    })
}

fn exists(error: Error, message: impl FnOnce() -> String) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => Error::new(ErrorKind::AlreadyExists, message()),
        _ => error,
    }
}

/// 32 bytes that stay the same for these records, and nobody can guess.
pub(crate) async fn secret(records: &dyn RecordStore, name: &str) -> Result<[u8; 32]> {
    let fresh = serde_json::Value::String(hex::encode(random::<32>()?));
    let pre = RecordCondition::Absent;
    let record = match records.put_record(SERVER, name, fresh, pre).await {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => records.record(SERVER, name).await?,
        done => Some(done?),
    };
    let mut out = [0; 32];
    let text = record.and_then(|record| record.value.as_str().map(str::to_owned));
    match text.map(|text| hex::decode_to_slice(text, &mut out)) {
        Some(Ok(())) => Ok(out),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            format!("the record {name:?} is damaged"),
        )),
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|e| {
        Error::new(ErrorKind::Unavailable, "the system gives no random numbers").with_source(e)
    })?;
    Ok(out)
}

/// 40 digits: what SDKs of all ages take for a key.
fn new_key() -> Result<SecretString> {
    Ok(SecretString::from(hex::encode(random::<20>()?)))
}

fn check_key(key: &SecretString) -> Result<()> {
    let key = key.expose_secret();
    let printable = key.chars().all(|c| c.is_ascii_graphic());
    if (MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&key.len()) && printable {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "an API key has {MIN_KEY_LENGTH} to {MAX_KEY_LENGTH} printable ASCII characters without spaces"
    )))
}

#[cfg(test)]
mod tests {
    use tracker_model::MemoryTracker;

    use super::*;

    async fn accounts() -> Accounts {
        Accounts::open(Arc::new(MemoryTracker::new()))
            .await
            .unwrap()
    }

    fn name(text: &str) -> EntityName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_first_user_is_local() {
        let accounts = accounts().await;
        let key = accounts.ensure_one().await.unwrap().unwrap();
        assert_eq!(key.expose_secret().len(), 40);
        assert!(accounts.ensure_one().await.unwrap().is_none());
        let viewer = accounts.viewer(key.expose_secret()).await.unwrap().unwrap();
        assert_eq!(
            (viewer.user.name.as_str(), viewer.user.admin),
            (LOCAL, true)
        );
        assert!(
            accounts
                .viewer("00000000000000000000")
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_key_works_until_it_is_taken_away() {
        let accounts = accounts().await;
        let (_, key) = accounts.add_user(name("ada"), false, None).await.unwrap();
        let key = key.expose_secret();
        assert!(accounts.viewer(key).await.unwrap().is_some());
        let (second, other) = accounts.generate_key(&name("ada"), None).await.unwrap();
        assert_eq!(accounts.keys(&name("ada")).await.unwrap().len(), 2);
        assert!(accounts.delete_key(&name("ada"), &second.id).await.unwrap());
        assert!(
            accounts
                .viewer(other.expose_secret())
                .await
                .unwrap()
                .is_none()
        );
        accounts.delete_user(&name("ada")).await.unwrap();
        assert!(accounts.viewer(key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn keys_are_not_kept() {
        let records = Arc::new(MemoryTracker::new());
        let accounts = Accounts::open(records.clone()).await.unwrap();
        let key = SecretString::from("a-key-of-my-own");
        accounts
            .add_user(name("ada"), false, Some(key))
            .await
            .unwrap();
        for space in [USERS, KEYS, TEAMS, SERVER] {
            let all: Vec<Record> = records.records(space, "").try_collect().await.unwrap();
            assert!(!format!("{all:?}").contains("key-of-my"), "{all:?}");
        }
        for key in [
            "short",
            "with a space in it",
            "ключключключ",
            &"x".repeat(600),
        ] {
            let key = Some(SecretString::from(key.to_owned()));
            let error = accounts
                .add_user(name("bob"), false, key)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let same = Some(SecretString::from("a-key-of-my-own"));
        let error = accounts
            .add_user(name("bob"), false, same)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(accounts.user(&name("bob")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn teams_share_an_entity() {
        let accounts = accounts().await;
        let mut keys = Vec::new();
        for user in ["ada", "bob", "eve"] {
            keys.push(accounts.add_user(name(user), false, None).await.unwrap().1);
        }
        let team = name("vision");
        accounts
            .set_member(&team, &name("ada"), Some(Role::Admin))
            .await
            .unwrap();
        accounts
            .set_member(&team, &name("bob"), Some(Role::Viewer))
            .await
            .unwrap();
        let mut rights = Vec::new();
        for key in &keys {
            let viewer = accounts.viewer(key.expose_secret()).await.unwrap().unwrap();
            rights.push((
                viewer.may_read(&team),
                viewer.may_write(&team),
                viewer.may_manage(&team),
            ));
        }
        assert_eq!(
            rights,
            [
                (true, true, true),
                (true, false, false),
                (false, false, false)
            ]
        );
        accounts
            .set_member(&team, &name("bob"), None)
            .await
            .unwrap();
        let bob = accounts
            .viewer(keys[1].expose_secret())
            .await
            .unwrap()
            .unwrap();
        assert!(!bob.may_read(&team));
        let taken = accounts
            .add_user(team.clone(), false, None)
            .await
            .unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    }
}
