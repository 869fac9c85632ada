use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use domain::tenant::{TenantCommand, TenantRejection};
use domain::{AssetCode, Scale, Slug, Tenant, TenantName};
use proptest::prelude::*;

use crate::{assert_replays, at, config, decided};

#[derive(Debug, Clone)]
enum Do {
    Create,
    Register(&'static str, u8),
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    let code = prop::sample::select(vec!["USD", "EUR", "TOK"]);
    let one = prop_oneof![1 => Just(Do::Create), 4 => (code, 0..=18_u8).prop_map(|(code, scale)| Do::Register(code, scale))];
    prop::collection::vec(one, 0..15)
}

fn real(command: &Do) -> TenantCommand {
    match command {
        Do::Create => TenantCommand::Create {
            slug: Slug::new("acme").unwrap(),
            name: TenantName::new("Acme, \"quoted\"").unwrap(),
        },
        Do::Register(code, scale) => TenantCommand::RegisterAsset {
            code: AssetCode::new(code).unwrap(),
            scale: Scale::new(*scale).unwrap(),
        },
    }
}

/// Whether the tenant exists, and its assets.
type Model = Option<BTreeMap<&'static str, u8>>;

fn expected(model: &mut Model, command: &Do) -> Result<(), &'static str> {
    match (command, model) {
        (Do::Create, Some(_)) => Err("tenant_exists"),
        (Do::Create, model) => {
            *model = Some(BTreeMap::new());
            Ok(())
        }
        (Do::Register(..), None) => Err("tenant_not_found"),
        (Do::Register(code, _), Some(assets)) if assets.contains_key(code) => Err("asset_exists"),
        (Do::Register(code, scale), Some(assets)) => {
            assets.insert(code, *scale);
            Ok(())
        }
    }
}

#[test]
fn a_tenant_decides_as_its_model_does_and_replays() {
    proptest!(config(128), |(commands in commands())| {
        let (mut model, mut live, mut kept) = (Model::None, Tenant::default(), Vec::new());
        for command in &commands {
            let decision = decided(live.decide(real(command), at(0)), TenantRejection::code, &mut kept);
            prop_assert_eq!(decision.as_ref().map(|_| ()).map_err(|code| *code), expected(&mut model, command));
            if let Ok(happened) = decision {
                live.apply(happened);
            }
            prop_assert_eq!(live.exists(), model.is_some());
            let assets = live.assets.iter().map(|(code, scale)| (code.as_str(), scale.digits()));
            let wanted = model.iter().flatten().map(|(code, scale)| (*code, *scale));
            prop_assert!(assets.eq(wanted));
        }
        assert_replays(&kept, &live);
    });
}
