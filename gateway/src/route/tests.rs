use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::catalogue::{Dialect, Model, Provider, Timeouts};
use domain::{Ids, ProviderName, TenantId, WebAddress};
use uuid::Uuid;

use super::*;

struct Counting(AtomicU64);

impl Ids for Counting {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

fn chance() -> Chance {
    Chance::new(Arc::new(Counting(AtomicU64::new(0))))
}

fn name(text: &str) -> ProviderName {
    ProviderName::new(text).unwrap()
}

fn model(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

/// An offer of one model. Each route has a provider of its own: name, priority of the route, of the provider, weight.
fn offer(routes: &[(&str, u16, u16, u16)]) -> Offer {
    let supplier = |&(text, _, priority, _): &(&str, u16, u16, u16)| {
        let provider = Provider {
            name: name(text),
            dialect: Dialect::Openai,
            base_url: WebAddress::new("http://127.0.0.1:9").unwrap(),
            credential: None,
            priority,
            timeouts: Timeouts::default(),
            enabled: !text.starts_with("off"),
        };
        (name(text), Arc::new(Supplier { owner: TenantId::PLATFORM, provider, credential: None }))
    };
    let route = |&(text, priority, _, weight): &(&str, u16, u16, u16)| Route {
        provider: name(text),
        model: model("real"),
        priority,
        weight,
    };
    let offered =
        Model { alias: model("alias"), routes: routes.iter().map(route).collect(), max_output_tokens: None };
    Offer {
        providers: routes.iter().map(supplier).collect(),
        models: BTreeMap::from([(model("alias"), offered)]),
        prices: BTreeMap::new(),
    }
}

fn order(offer: &Offer, chance: &Chance) -> Vec<String> {
    let stops = stops(offer, "alias", chance).unwrap();
    stops.iter().map(|stop| stop.supplier.provider.name.to_string()).collect()
}

#[test]
fn the_lower_priority_of_the_route_comes_first_and_then_that_of_the_provider() {
    let offer = offer(&[("d", 2, 0, 1), ("c", 1, 5, 1), ("b", 1, 2, 1), ("a", 0, 9, 1)]);
    assert_eq!(order(&offer, &chance()), ["a", "b", "c", "d"]);
}

#[test]
fn equals_share_by_weight_and_those_without_weight_come_last() {
    let offer = offer(&[("none", 0, 0, 0), ("one", 0, 0, 1), ("three", 0, 0, 3)]);
    let chance = chance();
    let mut first = BTreeMap::<String, u32>::new();
    for _ in 0..4_000 {
        let order = order(&offer, &chance);
        assert_eq!(order[2], "none");
        *first.entry(order[0].clone()).or_default() += 1;
    }
    assert!((900..1_100).contains(&first["one"]), "a quarter: {first:?}");
    assert!((2_900..3_100).contains(&first["three"]), "three quarters: {first:?}");
}

#[test]
fn a_provider_that_is_off_or_gone_is_not_asked() {
    let mut offered = offer(&[("off", 0, 0, 1), ("gone", 0, 0, 1), ("here", 1, 0, 1)]);
    offered.providers.remove(&name("gone"));
    assert_eq!(order(&offered, &chance()), ["here"]);
    offered.providers.remove(&name("here"));
    assert_eq!(stops(&offered, "alias", &chance()).unwrap_err().code, "no_provider");
    assert_eq!(stops(&offered, "other", &chance()).unwrap_err().status, 404);
    assert_eq!(stops(&offered, "no name", &chance()).unwrap_err().code, "unknown_model");
}
