//! The keys that sign sessions: they take turns, with overlap.

use domain::Ids;
use identity::signing::{LEEWAY, SigningKeys, Turn, Turns, key_id};

use super::*;

const TURNS: Turns = Turns { overlap: TimeDelta::minutes(10), token_lifetime: TimeDelta::minutes(15) };

async fn keys(world: &World) -> SigningKeys {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&world.clock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    SigningKeys::open(world.pool().await, world.vault().await, clock, ids, TURNS).await.unwrap()
}

async fn published(keys: &SigningKeys) -> Vec<String> {
    keys.all().await.unwrap().iter().map(|key| key.id.clone()).collect()
}

#[tokio::test]
async fn programs_that_begin_at_once_sign_by_the_same_key() {
    let world = World::new().await;
    let (one, two, three) = tokio::join!(keys(&world), keys(&world), keys(&world));
    let first = one.current().await.unwrap();
    for other in [two, three] {
        assert_eq!(other.current().await.unwrap().id, first.id);
        assert_eq!(other.current().await.unwrap().seed(), first.seed());
    }
    assert_eq!(key_id(&first.public), first.id);
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_until_its_last_token_is_over() {
    let world = World::new().await;
    let keys = keys(&world).await;
    let old = keys.current().await.unwrap();
    let new = keys.rotate(Turn::Overlapping).await.unwrap();
    assert_ne!(old.id, new.id);
    assert_eq!(published(&keys).await, [new.id.clone(), old.id.clone()]);
    assert_eq!(keys.current().await.unwrap().id, old.id);

    world.clock.advance(TURNS.overlap - TimeDelta::seconds(1));
    assert_eq!(keys.current().await.unwrap().id, old.id, "a second before its turn");
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(keys.current().await.unwrap().id, new.id);
    assert_eq!(published(&keys).await, [new.id.clone(), old.id.clone()]);

    world.clock.advance(TURNS.token_lifetime + LEEWAY - TimeDelta::seconds(1));
    assert!(keys.named(&old.id).await.unwrap().is_some());
    world.clock.advance(TimeDelta::seconds(1));
    assert!(keys.named(&old.id).await.unwrap().is_none());
    assert_eq!(published(&keys).await, std::slice::from_ref(&new.id));

    // The next rotation deletes it.
    keys.rotate(Turn::Overlapping).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT key_id FROM identity.signing_keys")
        .fetch_all(&world.pool().await)
        .await
        .unwrap();
    assert!(!left.contains(&old.id) && left.contains(&new.id));
}

#[tokio::test]
async fn a_key_that_got_out_is_believed_no_more() {
    let world = World::new().await;
    let (keys, other) = (keys(&world).await, keys(&world).await);
    let old = keys.current().await.unwrap();
    let new = keys.rotate(Turn::AtOnce).await.unwrap();
    assert_eq!(keys.current().await.unwrap().id, new.id);
    assert_eq!(published(&keys).await, std::slice::from_ref(&new.id));
    // Another program learns of the new key as soon as a token names it, and with it that the old one is over.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(other.named(&new.id).await.unwrap().unwrap().id, new.id);
    assert!(other.named(&old.id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_public_form_is_that_of_a_key_set_and_verifies_what_was_signed() {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    let world = World::new().await;
    let key = keys(&world).await.current().await.unwrap();
    let jwk = serde_json::to_value(key.jwk()).unwrap();
    assert_eq!(jwk.as_object().unwrap().len(), 6);
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"]),
        (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into(), &"sig".into())
    );
    assert_eq!(jwk["kid"], key.id);
    let public =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, jwk["x"].as_str().unwrap());
    let public = VerifyingKey::from_bytes(&public.unwrap().try_into().unwrap()).unwrap();
    public.verify(b"message", &Signature::from_bytes(&key.sign(b"message"))).unwrap();
    public.verify(b"massage", &Signature::from_bytes(&key.sign(b"message"))).unwrap_err();
}

#[tokio::test]
async fn a_key_that_was_changed_in_the_database_is_not_used() {
    let world = World::new().await;
    keys(&world).await;
    sqlx::query("UPDATE identity.signing_keys SET key_id = '0123456789abcdef'")
        .execute(&world.pool().await)
        .await
        .unwrap();
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&world.clock);
    let opened =
        SigningKeys::open(world.pool().await, world.vault().await, clock, Arc::new(SystemIds), TURNS).await;
    assert!(opened.unwrap_err().to_string().contains("0123456789abcdef"));
}
