use cqrs_es::test::TestFramework;

use super::*;
use crate::WebAddress;

fn catalogues() -> TestFramework<Catalogue> {
    TestFramework::with(Moment(DateTime::UNIX_EPOCH))
}

fn folded(events: impl IntoIterator<Item = CatalogueEvent>) -> Catalogue {
    events.into_iter().fold(Catalogue::default(), |mut catalogue, event| {
        catalogue.apply(event);
        catalogue
    })
}

fn decide(catalogue: &Catalogue, command: CatalogueCommand) -> Result<CatalogueEvent, CatalogueRejection> {
    catalogue.decide(command, DateTime::UNIX_EPOCH)
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn asset() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

fn level_name(name: &str) -> LevelName {
    LevelName::new(name).unwrap()
}

fn level(name: &str, tier: u16) -> Level {
    let features = [(FeatureName::new("vision").unwrap(), true)].into();
    Level { name: level_name(name), tier, features }
}

fn wallet() -> WalletPath {
    WalletPath::new("customers:42").unwrap()
}

fn user() -> UserRef {
    UserRef::new("4711").unwrap()
}

fn policy(text: &str) -> Policy {
    Policy {
        mode: Mode::Monthly { rollover: Rollover::None },
        amount: amount(text),
        asset: asset(),
        enforcement: Enforcement::Hard,
    }
}

fn capped(text: &str, most: &str) -> Policy {
    let rollover = Rollover::Capped { most: amount(most) };
    Policy { mode: Mode::Monthly { rollover }, ..policy(text) }
}

fn governed() -> [Governed; 3] {
    [Governed::Level(level_name("pro")), Governed::User(user()), Governed::Wallet(wallet())]
}

fn set(governed: Governed, policy: Policy) -> CatalogueCommand {
    CatalogueCommand::SetPolicy { governed, policy }
}

fn was_set(governed: Governed, policy: Policy) -> CatalogueEvent {
    CatalogueEvent::PolicySet { governed, policy }
}

fn provider_name(name: &str) -> ProviderName {
    ProviderName::new(name).unwrap()
}

fn provider(name: &str, timeouts: Timeouts) -> Provider {
    Provider {
        name: provider_name(name),
        dialect: Dialect::Openai,
        base_url: WebAddress::new("https://api.example/v1").unwrap(),
        credential: None,
        priority: 1,
        timeouts,
        enabled: true,
    }
}

fn known(name: &str) -> CatalogueEvent {
    CatalogueEvent::ProviderDefined(Box::new(provider(name, Timeouts::default())))
}

fn model_name(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn route(provider: &str, model: &str) -> Route {
    Route { provider: provider_name(provider), model: model_name(model), priority: 0, weight: 1 }
}

fn model(alias: &str, routes: Vec<Route>) -> Model {
    Model { alias: model_name(alias), routes, max_output_tokens: None }
}

fn rates(input: &str) -> Rates {
    let (input, output) = (amount(input), amount("10"));
    Rates { input, output, cache_read: None, cache_write: None, cache_write_long: None, reasoning: None }
}

fn price(rates: Rates) -> CatalogueCommand {
    CatalogueCommand::SetPrice { provider: provider_name("a"), model: model_name("m"), asset: asset(), rates }
}

fn priced(version: u32, rates: Rates) -> CatalogueEvent {
    let price = Price { version, asset: asset(), rates };
    CatalogueEvent::PriceSet { provider: provider_name("a"), model: model_name("m"), price }
}

#[test]
fn a_level_is_offered_changed_and_removed() {
    let define = |tier| CatalogueCommand::DefineLevel(level("pro", tier));
    let defined = |tier| CatalogueEvent::LevelDefined(level("pro", tier));
    let remove = CatalogueCommand::RemoveLevel { name: level_name("pro") };
    let removed = CatalogueEvent::LevelRemoved { name: level_name("pro") };
    catalogues().given_no_previous_events().when(define(1)).then_expect_events(vec![defined(1)]);
    catalogues().given(vec![defined(1)]).when(define(2)).then_expect_events(vec![defined(2)]);
    assert_eq!(folded([defined(1), defined(2)]).levels[&level_name("pro")].tier, 2);
    catalogues().given(vec![defined(1)]).when(remove.clone()).then_expect_events(vec![removed.clone()]);
    catalogues().given_no_previous_events().when(remove).then_expect_error(CatalogueRejection::LevelNotFound);
    assert_eq!(folded([defined(1), removed]), Catalogue::default());
}

#[test]
fn a_level_with_a_policy_is_not_removed() {
    let [of_level, ..] = governed();
    let defined = CatalogueEvent::LevelDefined(level("pro", 1));
    let remove = || CatalogueCommand::RemoveLevel { name: level_name("pro") };
    let history = vec![defined, was_set(of_level.clone(), policy("5.00"))];
    catalogues().given(history.clone()).when(remove()).then_expect_error(CatalogueRejection::LevelInUse);
    let cleared = CatalogueEvent::PolicyCleared { governed: of_level };
    let mut history = history;
    history.push(cleared);
    assert!(decide(&folded(history), remove()).is_ok());
}

#[test]
fn policies_are_set_replaced_and_cleared() {
    let defined = CatalogueEvent::LevelDefined(level("pro", 1));
    for governed in governed() {
        let clear = CatalogueCommand::ClearPolicy { governed: governed.clone() };
        let cleared = CatalogueEvent::PolicyCleared { governed: governed.clone() };
        let (first, second) = (policy("5.00"), capped("6.00", "0.00"));
        let was_first = was_set(governed.clone(), first.clone());
        let was_second = was_set(governed.clone(), second.clone());
        catalogues()
            .given(vec![defined.clone()])
            .when(set(governed.clone(), first))
            .then_expect_events(vec![was_first.clone()]);
        catalogues()
            .given(vec![defined.clone(), was_first.clone()])
            .when(set(governed, second.clone()))
            .then_expect_events(vec![was_second.clone()]);
        let catalogue = folded([defined.clone(), was_first.clone(), was_second]);
        let pro = level_name("pro");
        assert_eq!(catalogue.policy(&wallet(), Some(&user()), Some(&pro)), Some(&second));
        catalogues()
            .given(vec![defined.clone(), was_first.clone()])
            .when(clear.clone())
            .then_expect_events(vec![cleared.clone()]);
        catalogues()
            .given(vec![defined.clone()])
            .when(clear)
            .then_expect_error(CatalogueRejection::PolicyNotFound);
        let catalogue = folded([defined.clone(), was_first, cleared]);
        assert_eq!(catalogue.policy(&wallet(), Some(&user()), Some(&pro)), None);
    }
}

#[test]
fn the_wallets_policy_wins_over_the_users_and_that_over_the_levels() {
    let [of_level, of_user, of_wallet] = governed();
    let (pro, free, user, wallet) = (level_name("pro"), level_name("free"), user(), wallet());
    let mut catalogue = folded([
        CatalogueEvent::LevelDefined(level("pro", 1)),
        was_set(of_level, policy("1.00")),
        was_set(of_user, policy("2.00")),
        was_set(of_wallet.clone(), policy("3.00")),
    ]);
    let found = |catalogue: &Catalogue, path: &WalletPath, user, level| {
        catalogue.policy(path, user, level).map(|policy| policy.amount)
    };
    let another = WalletPath::new("customers:43").unwrap();
    assert_eq!(found(&catalogue, &wallet, Some(&user), Some(&pro)), Some(amount("3.00")));
    assert_eq!(found(&catalogue, &wallet, None, None), Some(amount("3.00")));
    assert_eq!(found(&catalogue, &another, Some(&user), Some(&pro)), Some(amount("2.00")));
    assert_eq!(found(&catalogue, &another, None, Some(&pro)), Some(amount("1.00")));
    assert_eq!(found(&catalogue, &another, None, Some(&free)), None);
    assert_eq!(found(&catalogue, &another, None, None), None);
    catalogue.apply(CatalogueEvent::PolicyCleared { governed: of_wallet });
    assert_eq!(found(&catalogue, &wallet, Some(&user), Some(&pro)), Some(amount("2.00")));
}

#[test]
fn rejections_of_a_policy_come_in_the_order_of_the_list() {
    let [of_level, of_user, of_wallet] = governed();
    let negative = policy("-0.01");
    let mut full = Catalogue::default();
    for number in 0..MAX_POLICIES {
        let user = UserRef::new(&number.to_string()).unwrap();
        Arc::make_mut(&mut full.user_policies).insert(user, policy("1.00"));
    }
    let refused = |catalogue: &Catalogue, governed: &Governed, policy: &Policy| {
        decide(catalogue, set(governed.clone(), policy.clone())).unwrap_err()
    };
    assert_eq!(refused(&full, &of_level, &negative), CatalogueRejection::LevelNotFound);
    full.apply(CatalogueEvent::LevelDefined(level("pro", 1)));
    for governed in [&of_level, &of_user, &of_wallet] {
        for policy in [&negative, &capped("1.00", "-0.01")] {
            assert_eq!(refused(&full, governed, policy), CatalogueRejection::NegativePolicy);
        }
        let new = !matches!(governed, Governed::User(_));
        assert_eq!(
            decide(&full, set(governed.clone(), policy("0.00"))).is_err(),
            new,
            "what is there is replaced"
        );
    }
    assert_eq!(refused(&full, &of_wallet, &policy("1.00")), CatalogueRejection::TooMany);
}

#[test]
fn the_time_zone_is_what_was_said_last() {
    let zone = |name| ZoneName::new(name).unwrap();
    let set = |name| CatalogueEvent::TimeZoneSet { zone: zone(name) };
    catalogues()
        .given(vec![set("UTC")])
        .when(CatalogueCommand::SetTimeZone { zone: zone("Europe/Berlin") })
        .then_expect_events(vec![set("Europe/Berlin")]);
    assert_eq!(folded([set("UTC"), set("Europe/Berlin")]).time_zone, Some(zone("Europe/Berlin")));
}

#[test]
fn a_provider_is_known_changed_and_removed_unless_a_model_is_routed_to_it() {
    let changed = Timeouts { total_ms: 1, ..Timeouts::default() };
    let define = CatalogueCommand::DefineProvider(Box::new(provider("a", changed)));
    let defined = CatalogueEvent::ProviderDefined(Box::new(provider("a", changed)));
    let remove = || CatalogueCommand::RemoveProvider { name: provider_name("a") };
    catalogues().given_no_previous_events().when(define.clone()).then_expect_events(vec![defined.clone()]);
    catalogues().given(vec![known("a")]).when(define).then_expect_events(vec![defined.clone()]);
    assert_eq!(folded([known("a"), defined]).providers[&provider_name("a")].timeouts, changed);
    catalogues()
        .given_no_previous_events()
        .when(remove())
        .then_expect_error(CatalogueRejection::ProviderNotFound);
    let routed = CatalogueEvent::ModelDefined(model("large", vec![route("b", "m"), route("a", "m")]));
    catalogues()
        .given(vec![known("a"), routed.clone()])
        .when(remove())
        .then_expect_error(CatalogueRejection::ProviderInUse);
    let elsewhere = CatalogueEvent::ModelDefined(model("large", vec![route("b", "m")]));
    let removed = CatalogueEvent::ProviderRemoved { name: provider_name("a") };
    catalogues()
        .given(vec![known("a"), routed, elsewhere])
        .when(remove())
        .then_expect_events(vec![removed.clone()]);
    assert_eq!(folded([known("a"), removed]), Catalogue::default());
}

#[test]
fn a_provider_has_a_millisecond_to_an_hour_for_each_step() {
    let all =
        Timeouts { connect_ms: 1, first_token_ms: 3_600_000, between_tokens_ms: 1, total_ms: 3_600_000 };
    assert!(
        decide(&Catalogue::default(), CatalogueCommand::DefineProvider(Box::new(provider("a", all)))).is_ok()
    );
    for bad in [0, 3_600_001] {
        for timeouts in [
            Timeouts { connect_ms: bad, ..all },
            Timeouts { first_token_ms: bad, ..all },
            Timeouts { between_tokens_ms: bad, ..all },
            Timeouts { total_ms: bad, ..all },
        ] {
            catalogues()
                .given_no_previous_events()
                .when(CatalogueCommand::DefineProvider(Box::new(provider("a", timeouts))))
                .then_expect_error(CatalogueRejection::InvalidTimeout);
        }
    }
}

#[test]
fn a_model_is_offered_changed_and_removed() {
    let routes = vec![route("a", "m")];
    let offered = CatalogueEvent::ModelDefined(model("large", routes.clone()));
    let remove = CatalogueCommand::RemoveModel { alias: model_name("large") };
    let removed = CatalogueEvent::ModelRemoved { alias: model_name("large") };
    // Its provider may be the platform's, of which this catalogue does not know.
    catalogues()
        .given_no_previous_events()
        .when(CatalogueCommand::DefineModel(model("large", routes)))
        .then_expect_events(vec![offered.clone()]);
    catalogues().given(vec![offered.clone()]).when(remove.clone()).then_expect_events(vec![removed.clone()]);
    catalogues().given_no_previous_events().when(remove).then_expect_error(CatalogueRejection::ModelNotFound);
    assert_eq!(folded([offered, removed]), Catalogue::default());
}

#[test]
fn a_model_leads_to_one_place_or_to_several_different_ones() {
    let many = |count: usize| (0..count).map(|n| route("a", &format!("m{n}"))).collect::<Vec<_>>();
    let define =
        |routes| decide(&Catalogue::default(), CatalogueCommand::DefineModel(model("large", routes)));
    for good in [many(1), many(MAX_ROUTES), vec![route("a", "m"), route("b", "m")]] {
        assert!(define(good).is_ok());
    }
    let twice = vec![route("a", "m"), Route { priority: 7, ..route("a", "m") }];
    for bad in [vec![], many(MAX_ROUTES + 1), twice] {
        assert_eq!(define(bad), Err(CatalogueRejection::InvalidRoutes));
    }
}

#[test]
fn a_new_price_is_a_new_version_and_never_changes_the_one_before() {
    catalogues()
        .given_no_previous_events()
        .when(price(rates("1")))
        .then_expect_events(vec![priced(1, rates("1"))]);
    let history = [priced(1, rates("1")), priced(2, rates("2.5"))];
    catalogues()
        .given(history.to_vec())
        .when(price(rates("1")))
        .then_expect_events(vec![priced(3, rates("1"))]);
    let catalogue = folded(history);
    let found = catalogue.price(&provider_name("a"), &model_name("m")).unwrap();
    assert_eq!((found.version, found.rates), (2, rates("2.5")));
    assert_eq!(catalogue.price(&provider_name("b"), &model_name("m")), None);
    assert_eq!(catalogue.price(&provider_name("a"), &model_name("n")), None);
}

#[test]
fn no_rate_is_negative() {
    let (good, bad) = (rates("0"), Some(amount("-0.000001")));
    assert!(decide(&Catalogue::default(), price(good)).is_ok());
    for rates in [
        rates("-1"),
        Rates { output: amount("-1"), ..good },
        Rates { cache_read: bad, ..good },
        Rates { cache_write: bad, ..good },
        // Nothing falls back on the rate that is negative.
        Rates { cache_write: bad, cache_write_long: Some(amount("1")), ..good },
        Rates { cache_write_long: bad, ..good },
        Rates { reasoning: bad, ..good },
    ] {
        catalogues()
            .given_no_previous_events()
            .when(price(rates))
            .then_expect_error(CatalogueRejection::NegativeRate);
    }
}

#[test]
fn a_rate_at_which_a_call_could_cost_more_than_can_be_counted_is_refused() {
    let (usual, high) = (rates("1"), Some(amount("100000000000")));
    assert!(decide(&Catalogue::default(), price(rates("10000000000"))).is_ok(), "ten thousand a token");
    for rates in [
        rates("100000000000"),
        Rates { output: amount("100000000000"), ..usual },
        Rates { cache_read: high, ..usual },
        Rates { cache_write: high, ..usual },
        Rates { cache_write_long: high, ..usual },
        Rates { reasoning: high, ..usual },
        // Less high, with more digits than can be counted for the largest usage.
        Rates { output: amount("9999999999.999999999999999999"), ..usual },
    ] {
        catalogues()
            .given_no_previous_events()
            .when(price(rates))
            .then_expect_error(CatalogueRejection::RateTooHigh);
    }
}

#[test]
fn a_catalogue_has_bounds_and_what_is_there_can_be_replaced_at_them() {
    let name = |number: usize| format!("n{number}");
    let mut full = Catalogue::default();
    for number in 0..MAX_LEVELS {
        full.apply(CatalogueEvent::LevelDefined(level(&name(number), 1)));
    }
    for number in 0..MAX_PROVIDERS {
        full.apply(known(&name(number)));
    }
    for number in 0..MAX_MODELS {
        full.apply(CatalogueEvent::ModelDefined(model(&name(number), vec![route("a", "m")])));
    }
    let set_price = |provider: &str, number: usize, rates| CatalogueCommand::SetPrice {
        provider: provider_name(provider),
        model: model_name(&name(number)),
        asset: asset(),
        rates,
    };
    for number in 0..MAX_PRICES {
        let provider = if number % 2 == 0 { "a" } else { "b" };
        full.apply(decide(&full, set_price(provider, number, rates("1"))).unwrap());
    }
    let bad = Timeouts { total_ms: 0, ..Timeouts::default() };
    for (command, expected) in [
        (CatalogueCommand::DefineLevel(level("new", 1)), CatalogueRejection::TooMany),
        (
            CatalogueCommand::DefineProvider(Box::new(provider("new", bad))),
            CatalogueRejection::InvalidTimeout,
        ),
        (
            CatalogueCommand::DefineProvider(Box::new(provider("new", Timeouts::default()))),
            CatalogueRejection::TooMany,
        ),
        (CatalogueCommand::DefineModel(model("new", vec![])), CatalogueRejection::InvalidRoutes),
        (CatalogueCommand::DefineModel(model("new", vec![route("a", "m")])), CatalogueRejection::TooMany),
        (set_price("a", 1, rates("-1")), CatalogueRejection::NegativeRate),
        (set_price("a", 1, rates("1")), CatalogueRejection::TooMany),
    ] {
        assert_eq!(decide(&full, command.clone()), Err(expected), "{command:?}");
    }
    for command in [
        CatalogueCommand::DefineLevel(level("n0", 2)),
        CatalogueCommand::DefineProvider(Box::new(provider("n0", Timeouts::default()))),
        CatalogueCommand::DefineModel(model("n0", vec![route("b", "m")])),
        set_price("b", 1, rates("2")),
    ] {
        assert!(decide(&full, command.clone()).is_ok(), "{command:?}");
    }
}
