use std::collections::{BTreeMap, BTreeSet};

use cqrs_es::Aggregate as _;
use domain::application::{
    ApplicationChange, ApplicationCommand, ApplicationRejection, Details, Environment, IssuedKey,
    MAX_LIVE_KEYS, Replacement, Scope,
};
use domain::{Application, Change, Description, Digest, Event as _, KeyId, Label, PublicId, event};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, config};

#[derive(Debug, Clone)]
enum Do {
    Create,
    /// Whether there is something to change.
    Change(bool),
    /// Which key, by which name it is presented, whether it may do anything, and for how many seconds.
    Issue(u128, u128, bool, Option<i64>),
    /// Which key, by which other, for how many seconds the one goes on, and what is said of the other's end.
    Rotate(u128, u128, i64, Change<i64>),
    Revoke(u128),
    Archive,
    Wait(i64),
}

/// True nineteen times in twenty.
fn mostly() -> impl Strategy<Value = bool> {
    prop_oneof![19 => Just(true), 1 => Just(false)]
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    let key = || 0..6_u128;
    let lasts = || prop::option::of(-1..5_i64);
    let ends = || prop_oneof![Just(Change::Keep), Just(Change::Clear), (-1..5_i64).prop_map(Change::Set)];
    let one = prop_oneof![
        1 => Just(Do::Create),
        1 => any::<bool>().prop_map(Do::Change),
        8 => (key(), key(), mostly(), lasts())
            .prop_map(|(key, name, able, lasts)| Do::Issue(key, name, able, lasts)),
        8 => (key(), key(), -1..5_i64, ends())
            .prop_map(|(old, new, overlap, lasts)| Do::Rotate(old, new, overlap, lasts)),
        4 => key().prop_map(Do::Revoke),
        4 => (1..3_i64).prop_map(Do::Wait),
    ];
    let end = prop_oneof![3 => Just(None), 1 => Just(Some(Do::Archive))];
    (mostly(), prop::collection::vec(one, 0..40), end).prop_map(|(made, mut rest, end)| {
        rest.extend(end);
        rest.push(Do::Change(true));
        let first = if made { Some(Do::Create) } else { None };
        first.into_iter().chain(rest).collect()
    })
}

fn id(key: u128) -> KeyId {
    KeyId(Uuid::from_u128(key + 1))
}

fn name(name: u128) -> PublicId {
    PublicId::new(&format!("public{name:06}")).unwrap()
}

fn digest() -> Digest {
    Digest::new(&"0f".repeat(32)).unwrap()
}

fn real(command: &Do, now: i64) -> ApplicationCommand {
    let end = |lasts: &Option<i64>| lasts.map(|lasts| at(now + lasts));
    match command {
        Do::Create => {
            ApplicationCommand::Create(Details { name: Label::new("Shop").unwrap(), ..Details::default() })
        }
        Do::Change(true) | Do::Wait(_) => ApplicationCommand::Change(ApplicationChange {
            description: Change::Set(Description::new("Sells.").unwrap()),
            ..ApplicationChange::default()
        }),
        Do::Change(false) => ApplicationCommand::Change(ApplicationChange::default()),
        Do::Issue(key, called, able, lasts) => ApplicationCommand::IssueKey(IssuedKey {
            key: id(*key),
            public_id: name(*called),
            environment: Environment::Live,
            digest: digest(),
            scopes: able.then_some(Scope::Read).into_iter().collect(),
            expires_at: end(lasts),
            addresses: BTreeSet::default(),
        }),
        Do::Rotate(old, new, overlap, lasts) => ApplicationCommand::RotateKey {
            key: id(*old),
            replacement: Replacement {
                key: id(*new),
                public_id: name(*new + 100),
                digest: digest(),
                expires_at: match lasts {
                    Change::Keep => Change::Keep,
                    Change::Clear => Change::Clear,
                    Change::Set(lasts) => Change::Set(at(now + lasts)),
                },
            },
            until: at(now + overlap),
        },
        Do::Revoke(key) => ApplicationCommand::RevokeKey { key: id(*key) },
        Do::Archive => ApplicationCommand::Archive,
    }
}

/// A key that was issued: by what it is presented, from when on it is worth nothing, and from when on it was to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Kept { name: u128, end: i64, meant: i64 },
    Revoked,
}

#[derive(Debug, Default)]
struct Model {
    exists: bool,
    archived: bool,
    keys: BTreeMap<u128, Known>,
}

impl Model {
    fn issue(&mut self, key: u128, called: u128, end: i64, now: i64) -> Result<(), &'static str> {
        let same = |known: &Known| matches!(known, Known::Kept { name, .. } if *name == called);
        if self.keys.contains_key(&key) || self.keys.values().any(same) {
            return Err("key_exists");
        }
        if end <= now {
            return Err("expiry_in_the_past");
        }
        self.keys.insert(key, Known::Kept { name: called, end, meant: end });
        Ok(())
    }

    fn kept(&self, key: u128) -> Result<(i64, i64), &'static str> {
        match self.keys.get(&key) {
            None => Err("key_not_found"),
            Some(Known::Revoked) => Err("key_revoked"),
            Some(Known::Kept { end, meant, .. }) => Ok((*end, *meant)),
        }
    }

    fn expected(&mut self, command: &Do, now: i64) -> Result<(), &'static str> {
        match (self.exists, command) {
            (false, Do::Create) => {
                self.exists = true;
                return Ok(());
            }
            (true, Do::Create) => return Err("application_exists"),
            (false, _) => return Err("application_not_found"),
            (true, _) if self.archived => return Err("application_archived"),
            (true, _) => {}
        }
        let never = i64::MAX;
        match *command {
            Do::Create => Err("application_exists"),
            Do::Change(true) | Do::Wait(_) => Ok(()),
            Do::Change(false) => Err("nothing_to_change"),
            Do::Issue(key, called, able, lasts) => {
                let before = self.keys.clone();
                self.issue(key, called, lasts.map_or(never, |lasts| now + lasts), now)?;
                if !able {
                    self.keys = before;
                    return Err("no_scopes");
                }
                Ok(())
            }
            Do::Rotate(old, new, overlap, ref lasts) => {
                let (end, meant) = self.kept(old)?;
                if end <= now {
                    return Err("key_expired");
                }
                let other = match lasts {
                    Change::Keep => meant,
                    Change::Clear => never,
                    Change::Set(lasts) => now + lasts,
                };
                self.issue(new, new + 100, other, now)?;
                if let Some(Known::Kept { end, .. }) = self.keys.get_mut(&old) {
                    *end = (*end).min(now + overlap).max(now);
                }
                Ok(())
            }
            Do::Revoke(key) => {
                self.kept(key)?;
                self.keys.insert(key, Known::Revoked);
                Ok(())
            }
            Do::Archive => {
                self.archived = true;
                let live = |known: &&mut Known| matches!(known, Known::Kept { end, .. } if *end > now);
                self.keys.values_mut().filter(live).for_each(|known| *known = Known::Revoked);
                Ok(())
            }
        }
    }

    fn live(&self, now: i64) -> impl Iterator<Item = KeyId> {
        let live = move |known: &Known| matches!(known, Known::Kept { end, .. } if *end > now);
        self.keys.iter().filter(move |(_, known)| live(known)).map(|(key, _)| id(*key))
    }
}

#[test]
fn keys_come_and_end_as_their_model_says_and_none_outlives_its_application() {
    proptest!(config(512), |(commands in commands())| {
        let (mut model, mut live, mut kept, mut now) = (Model::default(), Application::default(), Vec::new(), 0);
        for command in &commands {
            if let Do::Wait(seconds) = command {
                now += seconds;
                continue;
            }
            let decision = live.decide(real(command, now), at(now));
            prop_assert_eq!(
                decision.as_ref().map(|_| ()).map_err(ApplicationRejection::code),
                model.expected(command, now),
                "{:?}", command
            );
            for happened in decision.unwrap_or_default() {
                let payload = event::encode(&happened).unwrap();
                let version = domain::application::ApplicationEvent::VERSION;
                kept.push(event::decode(happened.kind(), version, &payload).unwrap());
                live.apply(happened);
            }
            prop_assert!(live.live(at(now)).map(|(key, _)| *key).eq(model.live(now)));
            prop_assert!(live.live(at(now)).count() <= MAX_LIVE_KEYS);
            prop_assert!(!model.archived || live.live(at(now)).next().is_none());
        }
        assert_replays(&kept, &live);
    });
}
