//! The application: a program of a tenant, and the API keys it holds.
//!
//! A key's secret is shown once, when it is issued; what is kept is a digest, in the event that issued it. A key ends
//! when it expires or is revoked, and all keys of an application end when it is archived.

mod command;
mod event;
mod key;
mod rejection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::{ApplicationCommand, Replacement};
pub use event::ApplicationEvent;
pub use key::{ApplicationChange, Details, Environment, IssuedKey, Key, Scope};
pub use rejection::ApplicationRejection;

use crate::{KeyId, Moment};

/// How many keys of an application can be alive at once.
pub const MAX_LIVE_KEYS: usize = 100;

/// How many ranges of addresses a key can be bound to.
pub const MAX_ADDRESSES: usize = 32;

/// Whether an application can hold keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    /// There never was such an application.
    #[default]
    Absent,
    /// It can.
    Active,
    /// It cannot any more, for good.
    Archived,
}

impl ApplicationStatus {
    /// The status as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

/// An application's state. The default is an application that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Application {
    /// Whether it can hold keys.
    pub status: ApplicationStatus,
    /// What it is.
    pub details: Arc<Details>,
    /// The keys that were not revoked. Some may have expired.
    pub keys: Arc<BTreeMap<KeyId, Key>>,
    /// The keys that were.
    pub revoked: Arc<BTreeSet<KeyId>>,
}

impl Application {
    /// Whether the application was created (it may be archived since).
    pub fn exists(&self) -> bool {
        self.status != ApplicationStatus::Absent
    }

    /// Decides a command at the moment `now`.
    ///
    /// # Errors
    /// The first [`ApplicationRejection`] that applies, in the order of that enum.
    pub fn decide(
        &self,
        command: ApplicationCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<ApplicationEvent>, ApplicationRejection> {
        use ApplicationRejection as Rejected;
        match (self.status, &command) {
            (ApplicationStatus::Absent, ApplicationCommand::Create(_)) => {}
            (_, ApplicationCommand::Create(_)) => return Err(Rejected::AlreadyExists),
            (ApplicationStatus::Absent, _) => return Err(Rejected::NotFound),
            (ApplicationStatus::Archived, _) => return Err(Rejected::Archived),
            (ApplicationStatus::Active, _) => {}
        }
        match command {
            ApplicationCommand::Create(details) => Ok(vec![ApplicationEvent::Created(details)]),
            ApplicationCommand::Change(change) if change == ApplicationChange::default() => {
                Err(Rejected::NothingToChange)
            }
            ApplicationCommand::Change(change) => Ok(vec![ApplicationEvent::Changed(change)]),
            ApplicationCommand::Archive => {
                let live = self.live(now).map(|(key, _)| ApplicationEvent::KeyRevoked { key: *key });
                Ok(live.chain([ApplicationEvent::Archived {}]).collect())
            }
            ApplicationCommand::IssueKey(issued) => Ok(vec![self.issue(issued, now)?]),
            ApplicationCommand::RotateKey { key, replacement, until } => {
                self.rotate(key, replacement, until, now)
            }
            ApplicationCommand::RevokeKey { key } => {
                self.key(key)?;
                Ok(vec![ApplicationEvent::KeyRevoked { key }])
            }
        }
    }

    /// The keys that are alive at `now`.
    pub fn live(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&KeyId, &Key)> {
        self.keys.iter().filter(move |(_, key)| key.alive(now))
    }

    /// A key that was not revoked.
    fn key(&self, key: KeyId) -> Result<&Key, ApplicationRejection> {
        if self.revoked.contains(&key) {
            return Err(ApplicationRejection::KeyRevoked);
        }
        self.keys.get(&key).ok_or(ApplicationRejection::KeyNotFound)
    }

    fn issue(&self, issued: IssuedKey, now: DateTime<Utc>) -> Result<ApplicationEvent, ApplicationRejection> {
        use ApplicationRejection as Rejected;
        let same = |known: &Key| known.public_id == issued.public_id;
        if self.revoked.contains(&issued.key)
            || self.keys.contains_key(&issued.key)
            || self.keys.values().any(same)
        {
            return Err(Rejected::KeyExists);
        }
        if issued.expires_at.is_some_and(|at| at <= now) {
            return Err(Rejected::ExpiryInThePast);
        }
        if issued.scopes.is_empty() {
            return Err(Rejected::NoScopes);
        }
        if issued.addresses.len() > MAX_ADDRESSES {
            return Err(Rejected::TooManyAddresses);
        }
        if self.live(now).count() >= MAX_LIVE_KEYS {
            return Err(Rejected::TooManyKeys);
        }
        Ok(ApplicationEvent::KeyIssued(issued))
    }

    /// A new key that may do what the old one may, as long as it was meant to; the old one lives on until `until`.
    fn rotate(
        &self,
        key: KeyId,
        replacement: Replacement,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ApplicationEvent>, ApplicationRejection> {
        let old = self.key(key)?;
        if !old.alive(now) {
            return Err(ApplicationRejection::KeyExpired);
        }
        let Replacement { key: new, public_id, digest, expires_at } = replacement;
        let mut end = old.meant_until;
        expires_at.apply(&mut end);
        let issued = IssuedKey {
            key: new,
            public_id,
            environment: old.environment,
            digest,
            scopes: old.scopes.clone(),
            expires_at: end,
            addresses: old.addresses.clone(),
        };
        let issued = self.issue(issued, now)?;
        // An overlap never lengthens the life of the old key.
        let at = old.expires_at.map_or(until, |end| end.min(until)).max(now);
        Ok(vec![issued, ApplicationEvent::KeyExpires { key, at }])
    }
}

impl Aggregate for Application {
    const TYPE: &'static str = "application";
    type Command = ApplicationCommand;
    type Event = ApplicationEvent;
    type Error = ApplicationRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: ApplicationCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), ApplicationRejection> {
        for event in self.decide(command, moment.0)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: ApplicationEvent) {
        match event {
            ApplicationEvent::Created(details) => {
                self.status = ApplicationStatus::Active;
                self.details = Arc::new(details);
            }
            ApplicationEvent::Changed(change) => Arc::make_mut(&mut self.details).change(change),
            ApplicationEvent::Archived {} => self.status = ApplicationStatus::Archived,
            ApplicationEvent::KeyIssued(issued) => {
                let (id, key) = issued.into();
                Arc::make_mut(&mut self.keys).insert(id, key);
            }
            ApplicationEvent::KeyExpires { key, at } => {
                if let Some(key) = Arc::make_mut(&mut self.keys).get_mut(&key) {
                    key.expires_at = Some(at);
                }
            }
            ApplicationEvent::KeyRevoked { key } => {
                Arc::make_mut(&mut self.keys).remove(&key);
                Arc::make_mut(&mut self.revoked).insert(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
