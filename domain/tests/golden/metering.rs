//! The events of what a tenant offers, of what wallets may use, and of metered calls.

use std::collections::BTreeMap;

use domain::allowance::{AllowanceEvent, Part, Period};
use domain::catalogue::{
    CatalogueEvent, Dialect, Enforcement, Governed, Level, Mode, Model, Policy, Provider, Rollover, Route,
    Timeouts,
};
use domain::execution::{
    Attempt, AttemptOutcome, Basis, ExecutionBody, ExecutionEvent, FailureReason, Operation, Quoted, Settled,
};
use domain::{
    AllowanceId, ApplicationId, AssetCode, ExecutionId, FeatureName, GrantId, LevelName, ModelName, Price,
    ProviderName, Rates, Scale, TransactionId, Usage, UsageSource, UserRef, WalletPath, WebAddress, ZoneName,
};
use uuid::Uuid;

use crate::{amount, assert_form, assert_variant, digest, sealed, time};

fn asset() -> AssetCode {
    AssetCode::new("AI-TOKEN").unwrap()
}

fn wallet() -> WalletPath {
    WalletPath::new("customers:42").unwrap()
}

fn level() -> LevelName {
    LevelName::new("pro").unwrap()
}

fn user() -> UserRef {
    UserRef::new("4711").unwrap()
}

fn provider() -> ProviderName {
    ProviderName::new("eu-1").unwrap()
}

fn model() -> ModelName {
    ModelName::new("large-2025-01-01").unwrap()
}

fn price() -> Price {
    let rates = Rates {
        input: amount("2.50"),
        output: amount("10"),
        cache_read: Some(amount("0.3125")),
        cache_write: Some(amount("3.125")),
        cache_write_long: Some(amount("5")),
        reasoning: Some(amount("12")),
    };
    Price { version: 3, asset: asset(), rates }
}

fn usage() -> Usage {
    Usage { input: 1, cache_read: 2, cache_write: 3, cache_write_long: 4, output: 5, reasoning: 6 }
}

fn period() -> Period {
    Period { start: time(1_700_000_000).unwrap(), end: time(1_800_000_000).unwrap() }
}

fn execution() -> ExecutionId {
    ExecutionId(Uuid::from_u128(11))
}

fn transaction(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

#[test]
fn levels_and_policies_keep_their_form() {
    let features: BTreeMap<_, _> = [("vision", true), ("tools", false)]
        .into_iter()
        .map(|(name, has)| (FeatureName::new(name).unwrap(), has))
        .collect();
    let defined = |features| CatalogueEvent::LevelDefined(Level { name: level(), tier: 20, features });
    assert_form("catalogue", &defined(features));
    assert_variant("catalogue", ".bare", &defined(BTreeMap::new()));
    assert_form("catalogue", &CatalogueEvent::LevelRemoved { name: level() });
    let monthly = |rollover| Mode::Monthly { rollover };
    let forms = [
        (
            "",
            Governed::Level(level()),
            monthly(Rollover::Capped { most: amount("50.00") }),
            Enforcement::Hard,
        ),
        (".lifetime", Governed::User(user()), Mode::Lifetime, Enforcement::Warn),
        (".full", Governed::Wallet(wallet()), monthly(Rollover::Full), Enforcement::Monitor),
        (".none", Governed::Wallet(wallet()), monthly(Rollover::None), Enforcement::Hard),
    ];
    for (variant, governed, mode, enforcement) in forms {
        let policy = Policy { mode, amount: amount("100.00"), asset: asset(), enforcement };
        assert_variant("catalogue", variant, &CatalogueEvent::PolicySet { governed, policy });
    }
    assert_form("catalogue", &CatalogueEvent::PolicyCleared { governed: Governed::User(user()) });
    let zone = ZoneName::new("Europe/Berlin").unwrap();
    assert_form("catalogue", &CatalogueEvent::TimeZoneSet { zone });
}

#[test]
fn providers_models_and_prices_keep_their_form() {
    let known = |credential| {
        CatalogueEvent::ProviderDefined(Box::new(Provider {
            name: provider(),
            dialect: Dialect::Anthropic,
            base_url: WebAddress::new("https://api.example/v1").unwrap(),
            credential,
            priority: 10,
            timeouts: Timeouts::default(),
            enabled: true,
        }))
    };
    assert_form("catalogue", &known(Some(sealed("credential"))));
    assert_variant("catalogue", ".bare", &known(None));
    assert_form("catalogue", &CatalogueEvent::ProviderRemoved { name: provider() });
    let alias = || ModelName::new("large").unwrap();
    let offered = |max_output_tokens| {
        let route = Route { provider: provider(), model: model(), priority: 1, weight: 3 };
        CatalogueEvent::ModelDefined(Model { alias: alias(), routes: vec![route], max_output_tokens })
    };
    assert_form("catalogue", &offered(Some(4_096)));
    assert_variant("catalogue", ".bare", &offered(None));
    assert_form("catalogue", &CatalogueEvent::ModelRemoved { alias: alias() });
    let priced = |price| CatalogueEvent::PriceSet { provider: provider(), model: model(), price };
    assert_form("catalogue", &priced(price()));
    let bare = Rates {
        cache_read: None,
        cache_write: None,
        cache_write_long: None,
        reasoning: None,
        ..price().rates
    };
    assert_variant("catalogue", ".bare", &priced(Price { rates: bare, ..price() }));
}

#[test]
fn allowance_events_keep_their_form() {
    let (id, scale) = (AllowanceId(Uuid::from_u128(12)), Scale::new(2).unwrap());
    let assigned =
        |level, user| AllowanceEvent::Assigned { id, wallet: wallet(), asset: asset(), scale, level, user };
    assert_form("allowance", &assigned(Some(level()), Some(user())));
    assert_variant("allowance", ".bare", &assigned(None, None));
    let (grant, other) = (GrantId(Uuid::from_u128(13)), GrantId(Uuid::from_u128(14)));
    let allocated = |period, carried, carried_from| AllowanceEvent::Allocated {
        grant,
        period,
        added: amount("100.00"),
        carried: amount(carried),
        carried_from,
    };
    assert_form("allowance", &allocated(Some(period()), "7.50", Some(other)));
    assert_variant("allowance", ".lifetime", &allocated(None, "0.00", None));
    let granted =
        |expires_at| AllowanceEvent::Granted { grant, amount: amount("5.00"), priority: 7, expires_at };
    assert_form("allowance", &granted(time(1_800_000_000)));
    assert_variant("allowance", ".bare", &granted(None));
    let expired = AllowanceEvent::Expired { grant, amount: amount("3.00"), moved: amount("2.00") };
    assert_form("allowance", &expired);
    let parts = vec![Part { grant, amount: amount("1.00") }, Part { grant: other, amount: amount("0.50") }];
    let execution = execution();
    assert_form("allowance", &AllowanceEvent::Reserved { execution, parts: parts.clone() });
    assert_form("allowance", &AllowanceEvent::Burned { execution, parts });
    assert_form("allowance", &AllowanceEvent::Returned { execution });
    assert_form("allowance", &AllowanceEvent::Indebted { execution, amount: amount("0.25") });
    assert_form("allowance", &AllowanceEvent::DebtRepaid { amount: amount("0.25") });
    assert_form("allowance", &AllowanceEvent::Exceeded { execution, short: amount("0.75") });
}

fn body() -> ExecutionBody {
    ExecutionBody {
        wallet: wallet(),
        asset: asset(),
        requested_at: time(1_700_000_000).unwrap(),
        model: ModelName::new("large").unwrap(),
        operation: Operation::AnthropicMessages,
        fingerprint: digest(),
        estimate: Usage { input: 100, output: 200, ..Usage::default() },
        enforcement: Enforcement::Warn,
        expires_at: time(1_700_000_600).unwrap(),
        ..ExecutionBody::default()
    }
}

#[test]
fn what_an_execution_holds_keeps_its_form() {
    let bare = ExecutionEvent::Requested { body: Box::new(body()), hold: None, held: amount("0.00") };
    assert_variant("execution", ".bare", &bare);
    let body_with_basis = ExecutionBody { basis: Some(Basis::Tranche), ..body() };
    let basis =
        ExecutionEvent::Requested { body: Box::new(body_with_basis), hold: None, held: amount("0.00") };
    assert_variant("execution", ".basis", &basis);
    let full = ExecutionBody {
        application: Some(ApplicationId(Uuid::from_u128(15))),
        user: Some(user()),
        quoted: Some(Quoted { provider: provider(), model: model(), price: price() }),
        estimate: usage(),
        enforcement: Enforcement::Hard,
        ..body()
    };
    let (hold, held) = (Some(transaction(16)), amount("1.25"));
    assert_form("execution", &ExecutionEvent::Requested { body: Box::new(full), hold, held });
    let estimate = Usage { output: 50, ..Usage::default() };
    assert_form("execution", &ExecutionEvent::Extended { estimate, hold, held });
    let nothing = ExecutionEvent::Extended { estimate, hold: None, held: amount("0.00") };
    assert_variant("execution", ".bare", &nothing);
}

#[test]
fn what_becomes_of_an_execution_keeps_its_form() {
    let bare = Attempt {
        number: 1,
        provider: provider(),
        model: model(),
        outcome: AttemptOutcome::Unreachable,
        status: None,
        first_token_ms: None,
        total_ms: 5_000,
        usage: None,
        usage_source: None,
        price_version: None,
        cost: None,
    };
    assert_variant("execution", ".bare", &ExecutionEvent::Attempted(bare.clone()));
    let answered = Attempt {
        number: 2,
        outcome: AttemptOutcome::Answered,
        status: Some(200),
        first_token_ms: Some(350),
        usage: Some(usage()),
        usage_source: Some(UsageSource::Reported),
        price_version: Some(3),
        ..bare
    };
    assert_form("execution", &ExecutionEvent::Attempted(answered.clone()));
    let cost = Some(amount("2.00"));
    assert_variant("execution", ".cost", &ExecutionEvent::Attempted(Attempt { cost, ..answered }));
    assert_form("execution", &ExecutionEvent::Completed {});
    assert_form("execution", &ExecutionEvent::Failed { reason: FailureReason::StreamCut });
    assert_form("execution", &ExecutionEvent::Cancelled {});
    assert_form("execution", &ExecutionEvent::Expired {});
    let settled = Settled {
        provider: Some(provider()),
        model: Some(model()),
        usage: usage(),
        usage_source: UsageSource::InputOnly,
        price_version: Some(3),
        cost: amount("2.00"),
        from_holds: amount("1.25"),
        overdrawn: amount("0.50"),
        debt: amount("0.25"),
        overdraw_transaction: Some(transaction(17)),
        debt_transaction: Some(transaction(18)),
    };
    assert_form("execution", &ExecutionEvent::Settled(Box::new(settled)));
    let none = amount("0.00");
    let unpaid = Settled {
        provider: None,
        model: None,
        usage: Usage::default(),
        usage_source: UsageSource::Estimated,
        price_version: None,
        cost: none,
        from_holds: none,
        overdrawn: none,
        debt: none,
        overdraw_transaction: None,
        debt_transaction: None,
    };
    assert_variant("execution", ".bare", &ExecutionEvent::Settled(Box::new(unpaid)));
}

/// What is kept for good has words that never change, and the same word wherever a word is asked for.
#[test]
fn every_word_is_kept_as_it_is_said() {
    use AttemptOutcome as A;
    use FailureReason as F;
    use Operation as O;
    fn word(value: impl serde::Serialize) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }
    let reasons = [
        (F::ProviderUnreachable, "provider_unreachable"),
        (F::ProviderTimeout, "provider_timeout"),
        (F::ProviderRateLimited, "provider_rate_limited"),
        (F::ProviderError, "provider_error"),
        (F::InvalidRequest, "invalid_request"),
        (F::ContentFilter, "content_filter"),
        (F::StreamCut, "stream_cut"),
        (F::MalformedAnswer, "malformed_answer"),
        (F::BudgetExhausted, "budget_exhausted"),
        (F::ClientGone, "client_gone"),
        (F::Interrupted, "interrupted"),
    ];
    for (reason, said) in reasons {
        assert_eq!((word(reason).as_str(), reason.as_str()), (said, said));
    }
    let operations = [
        (O::OpenAiChat, "openai_chat"),
        (O::OpenAiResponses, "openai_responses"),
        (O::OpenAiEmbeddings, "openai_embeddings"),
        (O::AnthropicMessages, "anthropic_messages"),
        (O::AnthropicCountTokens, "anthropic_count_tokens"),
        (O::GeminiGenerate, "gemini_generate"),
        (O::GeminiEmbed, "gemini_embed"),
        (O::GeminiCountTokens, "gemini_count_tokens"),
        (O::Imported, "imported"),
    ];
    for (operation, said) in operations {
        assert_eq!((word(operation).as_str(), operation.as_str()), (said, said));
    }
    let outcomes = [
        (A::Answered, "answered"),
        (A::Unreachable, "unreachable"),
        (A::TimedOut, "timed_out"),
        (A::RateLimited, "rate_limited"),
        (A::ProviderError, "provider_error"),
        (A::InvalidRequest, "invalid_request"),
        (A::ContentFilter, "content_filter"),
        (A::Cut, "cut"),
        (A::Malformed, "malformed"),
        (A::Stopped, "stopped"),
    ];
    for (outcome, said) in outcomes {
        assert_eq!(word(outcome), said);
    }
    for source in [UsageSource::Reported, UsageSource::Estimated, UsageSource::InputOnly] {
        assert_eq!(word(source), source.as_str());
    }
    for enforcement in [Enforcement::Monitor, Enforcement::Warn, Enforcement::Hard] {
        assert_eq!(word(enforcement), enforcement.as_str());
    }
    for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini] {
        assert_eq!(word(dialect), dialect.as_str());
    }
}
