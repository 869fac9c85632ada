//! Random commands to a catalogue and to an execution: what must always hold of them, and that they replay.

use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use domain::catalogue::{
    CatalogueCommand, CatalogueRejection, Dialect, Enforcement, Governed, Level, Mode, Model, Policy,
    Provider, Route, Timeouts,
};
use domain::execution::{
    Attempt, AttemptOutcome, End, ExecutionBody, ExecutionCommand, ExecutionEvent, ExecutionStatus,
    FailureReason, Settled,
};
use domain::{
    AssetCode, Catalogue, Event, Execution, LevelName, ModelName, ProviderName, Rates, TransactionId, Usage,
    UsageSource, UserRef, WalletPath, WebAddress, ZoneName, event,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, cents, config, decided};

fn model(number: u8) -> ModelName {
    ModelName::new(&format!("m{number}")).unwrap()
}

fn provider(number: u8) -> ProviderName {
    ProviderName::new(&format!("p{number}")).unwrap()
}

fn level(number: u8) -> LevelName {
    LevelName::new(&format!("l{number}")).unwrap()
}

fn governed() -> impl Strategy<Value = Governed> {
    let name = |number: u8| format!("n{number}");
    prop_oneof![
        (0..3_u8).prop_map(|number| Governed::Level(level(number))),
        (0..3_u8).prop_map(move |number| Governed::User(UserRef::new(&name(number)).unwrap())),
        (0..3_u8).prop_map(move |number| Governed::Wallet(WalletPath::new(&name(number)).unwrap())),
    ]
}

fn offers() -> impl Strategy<Value = CatalogueCommand> {
    let asset = || AssetCode::new("USD").unwrap();
    let (of, enforcement) = (0..3_u8, Enforcement::Warn);
    let known = |number, connect_ms| {
        Box::new(Provider {
            name: provider(number),
            dialect: Dialect::Gemini,
            base_url: WebAddress::new("https://api.example").unwrap(),
            credential: None,
            priority: 1,
            timeouts: Timeouts { connect_ms, ..Timeouts::default() },
            enabled: true,
        })
    };
    let route =
        |(to, name, weight)| Route { provider: provider(to), model: model(name), priority: 0, weight };
    let routes = prop::collection::vec((0..3_u8, 0..3_u8, 1..3_u16).prop_map(route), 0..4);
    let rates = |rate: i64| {
        let (input, output) = (cents(rate), cents(1));
        Rates {
            input,
            output,
            cache_read: None,
            cache_write: Some(cents(2)),
            cache_write_long: None,
            reasoning: None,
        }
    };
    prop_oneof![
        (of.clone(), 0..5_u16).prop_map(|(number, tier)| {
            CatalogueCommand::DefineLevel(Level { name: level(number), tier, features: BTreeMap::new() })
        }),
        of.clone().prop_map(|number| CatalogueCommand::RemoveLevel { name: level(number) }),
        (governed(), -2..20_i64).prop_map(move |(governed, amount)| {
            let policy = Policy { mode: Mode::Lifetime, amount: cents(amount), asset: asset(), enforcement };
            CatalogueCommand::SetPolicy { governed, policy }
        }),
        governed().prop_map(|governed| CatalogueCommand::ClearPolicy { governed }),
        Just(CatalogueCommand::SetTimeZone { zone: ZoneName::new("Asia/Tokyo").unwrap() }),
        (of.clone(), 0..5_u32)
            .prop_map(move |(number, ms)| CatalogueCommand::DefineProvider(known(number, ms))),
        of.clone().prop_map(|number| CatalogueCommand::RemoveProvider { name: provider(number) }),
        (of.clone(), routes).prop_map(|(number, routes)| {
            CatalogueCommand::DefineModel(Model { alias: model(number), routes, max_output_tokens: None })
        }),
        of.clone().prop_map(|number| CatalogueCommand::RemoveModel { alias: model(number) }),
        (of.clone(), of, -1..9_i64).prop_map(move |(at, number, rate)| CatalogueCommand::SetPrice {
            provider: provider(at),
            model: model(number),
            asset: asset(),
            rates: rates(rate),
        }),
    ]
}

#[test]
fn a_catalogue_says_nothing_of_what_it_does_not_have_and_replays() {
    proptest!(config(256), |(commands in prop::collection::vec(offers(), 0..60))| {
        let (mut live, mut kept) = (Catalogue::default(), Vec::new());
        let mut versions: BTreeMap<(ProviderName, ModelName), u32> = BTreeMap::new();
        for command in commands {
            let routed = matches!(&command, CatalogueCommand::RemoveProvider { name }
                if live.models.values().flat_map(|model| &model.routes).any(|route| route.provider == *name));
            let priced = match &command {
                CatalogueCommand::SetPrice { provider, model, .. } => Some((provider.clone(), model.clone())),
                _ => None,
            };
            let decision = decided(live.decide(command, at(0)), CatalogueRejection::code, &mut kept);
            prop_assert!(decision.is_err() || !routed, "a model leads nowhere");
            let Ok(happened) = decision else { continue };
            live.apply(happened);
            if let Some(of) = priced {
                let version = versions.entry(of.clone()).or_default();
                *version += 1;
                prop_assert_eq!(live.price(&of.0, &of.1).map(|price| price.version), Some(*version));
            }
            prop_assert!(live.level_policies.keys().all(|level| live.levels.contains_key(level)));
            prop_assert!(live.models.values().all(|model| !model.routes.is_empty()));
        }
        assert_replays(&kept, &live);
    });
}

fn settled() -> Box<Settled> {
    Box::new(Settled {
        provider: Some(provider(1)),
        model: Some(model(1)),
        usage: Usage { input: 3, reasoning: 4, ..Usage::default() },
        usage_source: UsageSource::Estimated,
        price_version: Some(7),
        cost: cents(3),
        from_holds: cents(1),
        overdrawn: cents(1),
        debt: cents(1),
        overdraw_transaction: None,
        debt_transaction: Some(TransactionId(Uuid::from_u128(3))),
    })
}

fn asks() -> impl Strategy<Value = ExecutionCommand> {
    let hold = |number: Option<u8>| number.map(|number| TransactionId(Uuid::from_u128(number.into())));
    let tried = |number| Attempt {
        number,
        provider: provider(1),
        model: model(1),
        outcome: AttemptOutcome::Cut,
        status: Some(200),
        first_token_ms: None,
        total_ms: 7,
        usage: None,
        usage_source: None,
        price_version: None,
        cost: None,
    };
    let ends = prop_oneof![
        Just(End::Completed),
        Just(End::Failed(FailureReason::Interrupted)),
        Just(End::Cancelled)
    ];
    prop_oneof![
        2 => (prop::option::of(any::<u8>()), 5..15_i64).prop_map(move |(number, ends)| {
            let enforcement = Enforcement::Warn;
            let body = ExecutionBody { enforcement, expires_at: at(ends), ..ExecutionBody::default() };
            ExecutionCommand::Request { body: Box::new(body), hold: hold(number), held: cents(1) }
        }),
        4 => (0..9_u64, prop::option::of(any::<u8>())).prop_map(move |(output, number)| {
            let estimate = Usage { output, ..Usage::default() };
            ExecutionCommand::Extend { estimate, hold: hold(number), held: cents(2) }
        }),
        1 => (ends, 0..4_u32).prop_map(move |(end, tries)| {
            ExecutionCommand::Finish { attempts: (1..=tries).map(tried).collect(), end, settled: settled() }
        }),
        1 => Just(ExecutionCommand::Expire),
    ]
}

#[test]
fn an_execution_ends_once_and_is_paid_for_once_and_replays() {
    proptest!(config(256), |(commands in prop::collection::vec((asks(), 0..20_i64), 0..20))| {
        let (mut live, mut kept) = (Execution::default(), Vec::new());
        for (command, now) in commands {
            let before = live.status;
            // What one came to that had expired can be told afterwards, once.
            let late = before == ExecutionStatus::Expired && live.settled.is_none();
            let Ok(events) = live.decide(command, at(now)) else { continue };
            prop_assert!(!before.is_final() || late, "nothing happens to it any more");
            for happened in events {
                let payload = event::encode(&happened).unwrap();
                kept.push(event::decode(happened.kind(), ExecutionEvent::VERSION, &payload).unwrap());
                live.apply(happened);
            }
            prop_assert!(live.exists());
            prop_assert!(!late || live.status == ExecutionStatus::Expired);
            let paid = late || live.status.is_final() && live.status != ExecutionStatus::Expired;
            prop_assert_eq!(live.settled.is_some(), paid);
            prop_assert_eq!(live.reason.is_some(), live.status == ExecutionStatus::Failed);
        }
        assert_replays(&kept, &live);
    });
}
