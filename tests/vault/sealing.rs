//! Sealing and revealing, by one program and by several.

use domain::TenantId;
use identity::vault::{Field, MOST_BYTES, Purpose, VaultError};
use journal::Role;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn what_one_program_seals_another_reveals() {
    let world = World::new().await;
    let (one, other) = (world.vault().await, world.vault().await);
    let (acme, alice) = (tenant("acme"), somebody());
    for text in ["alice@example.org", "", "Zoë \u{1F600}\n\0", &"x".repeat(MOST_BYTES)] {
        let sealed = one.seal(acme, alice, Purpose::Email, text).await.unwrap();
        assert!(text.is_empty() || !sealed.as_str().contains(text));
        assert_eq!(other.reveal(acme, alice, Purpose::Email, &sealed).await.unwrap().as_deref(), Some(text));
    }
    let long = "x".repeat(MOST_BYTES + 1);
    assert!(matches!(one.seal(acme, alice, Purpose::Email, &long).await, Err(VaultError::TooLong)));
}

#[tokio::test]
async fn a_sealed_field_opens_nowhere_but_where_it_belongs() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, other, alice, bob) = (tenant("acme"), tenant("other"), somebody(), somebody());
    let sealed = vault.seal(acme, alice, Purpose::Email, "alice@example.org").await.unwrap();
    // Everybody has a key of their own, in both tenants.
    for (tenant, subject) in [(acme, bob), (other, alice), (other, bob)] {
        vault.seal(tenant, subject, Purpose::Email, "x").await.unwrap();
    }
    for (tenant, subject, purpose) in
        [(other, alice, Purpose::Email), (acme, bob, Purpose::Email), (acme, alice, Purpose::Name)]
    {
        let refused = vault.reveal(tenant, subject, purpose, &sealed).await;
        assert!(matches!(refused, Err(VaultError::Refused { .. })), "{refused:?}");
    }
    let nobody = vault.reveal(acme, somebody(), Purpose::Email, &sealed).await;
    assert!(matches!(nobody, Err(VaultError::NoKey(_))), "{nobody:?}");
}

#[tokio::test]
async fn a_sealed_secret_opens_nowhere_but_where_it_belongs() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, record) = (tenant("acme"), SystemIds.next());
    let sealed = vault.seal_secret(acme, Purpose::TotpSecret, record, b"secret").await.unwrap();
    let opened = world.vault().await.reveal_secret(acme, Purpose::TotpSecret, record, &sealed).await.unwrap();
    assert_eq!(opened.as_slice(), b"secret");
    for (tenant, purpose, record) in [
        (tenant("other"), Purpose::TotpSecret, record),
        (acme, Purpose::SigningKey, record),
        (acme, Purpose::TotpSecret, SystemIds.next()),
    ] {
        let refused = vault.reveal_secret(tenant, purpose, record, &sealed).await;
        assert!(matches!(refused, Err(VaultError::Refused { .. })));
    }
}

#[tokio::test]
async fn a_wrapped_key_opens_nothing_in_another_row() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, alice, bob) = (tenant("acme"), somebody(), somebody());
    let sealed = vault.seal(acme, alice, Purpose::Email, "alice@example.org").await.unwrap();
    vault.seal(acme, bob, Purpose::Email, "bob@example.org").await.unwrap();
    let moved = sqlx::query(
        "UPDATE identity.subject_keys SET wrapped =
             (SELECT wrapped FROM identity.subject_keys WHERE subject_id = $1) WHERE subject_id = $2",
    );
    moved.bind(alice.0).bind(bob.0).execute(&world.pool().await).await.unwrap();
    let refused = world.vault().await.reveal(acme, bob, Purpose::Email, &sealed).await;
    assert!(matches!(refused, Err(VaultError::Refused { what: "subject_key" })), "{refused:?}");

    vault.seal(tenant("other"), alice, Purpose::Email, "x").await.unwrap();
    let moved = sqlx::query(
        "UPDATE identity.data_keys SET wrapped = (SELECT wrapped FROM identity.data_keys WHERE tenant_id = $1)
         WHERE tenant_id = $2",
    );
    moved.bind(acme.0).bind(tenant("other").0).execute(&world.pool().await).await.unwrap();
    let refused = world.vault().await.seal(tenant("other"), bob, Purpose::Email, "x").await;
    assert!(matches!(refused, Err(VaultError::Refused { what: "data_key" })), "{refused:?}");
}

#[tokio::test]
async fn many_fields_are_revealed_in_their_order() {
    let world = World::new().await;
    let vault = world.vault().await;
    let people: Vec<_> = (0..20).map(|_| somebody()).collect();
    let mut sealed = Vec::new();
    for (person, number) in people.iter().zip(0..) {
        for (purpose, text) in
            [(Purpose::Name, format!("name {number}")), (Purpose::Email, format!("email {number}"))]
        {
            sealed.push((
                *person,
                purpose,
                vault.seal(TenantId::PLATFORM, *person, purpose, &text).await.unwrap(),
            ));
        }
    }
    vault.erase(TenantId::PLATFORM, people[3]).await.unwrap();
    let fields: Vec<_> = sealed
        .iter()
        .map(|(subject, purpose, sealed)| Field { subject: *subject, purpose: *purpose, sealed })
        .collect();
    let revealed = world.vault().await.reveal_all(TenantId::PLATFORM, &fields).await.unwrap();
    for (revealed, number) in revealed.chunks(2).zip(0..) {
        let wanted = [Some(format!("name {number}")), Some(format!("email {number}"))];
        if number == 3 { assert_eq!(revealed, [None, None]) } else { assert_eq!(revealed, wanted) }
    }
}

#[tokio::test]
async fn a_blind_index_is_the_same_in_every_program_and_tells_purposes_apart() {
    let world = World::new().await;
    let (one, other) = (world.vault().await, world.vault().await);
    let (first, second) =
        tokio::join!(one.blind(Purpose::Email, "a@b.c"), other.blind(Purpose::Email, "a@b.c"));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    assert_ne!(first, one.blind(Purpose::Email, "a@b.d").await.unwrap());
    assert_ne!(first, one.blind(Purpose::Name, "a@b.c").await.unwrap());
    let elsewhere = World::new().await.vault().await;
    assert_ne!(first, elsewhere.blind(Purpose::Email, "a@b.c").await.unwrap());
}

#[tokio::test]
async fn programs_that_begin_at_once_agree_on_every_key() {
    let world = World::new().await;
    let (acme, alice) = (tenant("acme"), somebody());
    let mut programs = Vec::new();
    for _ in 0..6 {
        let vault = world.vault().await;
        programs.push(tokio::spawn(async move {
            let sealed = vault.seal(acme, alice, Purpose::Email, "alice@example.org").await.unwrap();
            (vault, sealed)
        }));
    }
    let mut sealed = Vec::new();
    for program in programs {
        sealed.push(program.await.unwrap());
    }
    for (vault, _) in &sealed {
        for (_, sealed) in &sealed {
            let revealed = vault.reveal(acme, alice, Purpose::Email, sealed).await.unwrap();
            assert_eq!(revealed.as_deref(), Some("alice@example.org"));
        }
    }
}

#[tokio::test]
async fn another_master_key_of_the_same_version_is_refused() {
    let world = World::new().await;
    world.vault().await.seal(tenant("acme"), somebody(), Purpose::Email, "x").await.unwrap();
    let strange = Keys::new();
    strange.source().make_if_missing().await.unwrap();
    let refused = world.opened_with(&strange.source()).await;
    assert!(matches!(refused, Err(VaultError::WrongMaster { version: 1 })), "{refused:?}");
}

#[tokio::test]
async fn the_reader_and_the_writer_see_nothing_of_the_keys() {
    let world = World::new().await;
    world.vault().await.seal(tenant("acme"), somebody(), Purpose::Email, "x").await.unwrap();
    for role in [Role::Reader, Role::Writer, Role::Projector] {
        let pool = world.database.pool(role, 1).await;
        for table in [
            "data_keys",
            "subject_keys",
            "subject_keys_0",
            "index_keys",
            "signing_keys",
            "master_keys",
            "accounts",
            "sessions",
            "refresh_tokens",
            "one_time_tokens",
            "recovery_codes",
            "oidc_links",
        ] {
            let asked = sqlx::query(&format!("SELECT * FROM identity.{table}")).fetch_all(&pool).await;
            assert!(asked.unwrap_err().to_string().contains("permission denied"), "{role:?} {table}");
        }
    }
    let pool = world.pool().await;
    for statement in [
        "DELETE FROM identity.subject_keys",
        "DELETE FROM identity.data_keys",
        "DELETE FROM identity.master_keys",
        "SELECT * FROM journal.events",
        "SELECT * FROM views.balances",
    ] {
        let asked = sqlx::query(statement).execute(&pool).await;
        assert!(asked.unwrap_err().to_string().contains("permission denied"), "{statement}");
    }
}

#[tokio::test]
async fn debug_output_shows_no_key_and_no_text() {
    let world = World::new().await;
    let vault = world.vault().await;
    let keys = MasterKeys::load(&world.keys.source()).await.unwrap();
    let line = std::fs::read_to_string(world.keys.path()).unwrap();
    let secret = line.trim().split_once(':').unwrap().1;
    let said = format!("{vault:?} {keys:?}");
    assert!(!said.contains(secret.get(..12).unwrap()) && !said.contains(&Uuid::nil().to_string()), "{said}");
}
