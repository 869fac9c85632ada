use cqrs_es::test::TestFramework;

use super::*;

fn tenants() -> TestFramework<Tenant> {
    TestFramework::with(Moment(DateTime::UNIX_EPOCH))
}

fn created() -> TenantEvent {
    TenantEvent::Created { slug: Slug::new("acme").unwrap(), name: TenantName::new("Acme").unwrap() }
}

fn usd(scale: u8) -> (AssetCode, Scale) {
    (AssetCode::new("USD").unwrap(), Scale::new(scale).unwrap())
}

#[test]
fn a_tenant_is_created_once() {
    let create =
        TenantCommand::Create { slug: Slug::new("acme").unwrap(), name: TenantName::new("Acme").unwrap() };
    tenants().given_no_previous_events().when(create.clone()).then_expect_events(vec![created()]);
    tenants().given(vec![created()]).when(create).then_expect_error(TenantRejection::AlreadyExists);
}

#[test]
fn an_asset_keeps_its_scale_for_good() {
    let (code, scale) = usd(2);
    let registered = TenantEvent::AssetRegistered { code: code.clone(), scale };
    let register = TenantCommand::RegisterAsset { code: code.clone(), scale };
    tenants().given(vec![created()]).when(register).then_expect_events(vec![registered.clone()]);
    let (_, finer) = usd(9);
    tenants()
        .given(vec![created(), registered])
        .when(TenantCommand::RegisterAsset { code: code.clone(), scale: finer })
        .then_expect_error(TenantRejection::AssetExists(code));
}

#[test]
fn nothing_is_registered_with_a_tenant_that_does_not_exist() {
    let (code, scale) = usd(2);
    tenants()
        .given_no_previous_events()
        .when(TenantCommand::RegisterAsset { code, scale })
        .then_expect_error(TenantRejection::NotFound);
}
