use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{Clock, Ids, Slug};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Believed, Claims, CredentialError, Grant, KeyError, Role, Signer, Verifier};

const NOW: i64 = 1_700_000_000;
/// Made for these tests with `openssl genpkey`; they open nothing.
const ED: &str = include_str!("tests/ed25519.pem");
const ED_PUBLIC: &str = include_str!("tests/ed25519.pub.pem");
const RSA: &str = include_str!("tests/rsa2048.pem");
const RSA_PUBLIC: &str = include_str!("tests/rsa2048.pub.pem");
const SHORT_RSA_PUBLIC: &str = include_str!("tests/rsa1024.pub.pem");

#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).unwrap()
    }
}

struct Counted(AtomicU64);

impl Ids for Counted {
    fn next(&self) -> Uuid {
        Uuid::from_u64_pair(0, self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn clock() -> Arc<SetClock> {
    Arc::new(SetClock(AtomicI64::new(NOW)))
}

fn signer() -> Signer {
    Signer::from_pem(ED, "counterfoil", "counterfoil").unwrap()
}

/// Believes the signer, and an RSA key by the id `rsa`.
fn verifier(clock: Arc<SetClock>) -> Verifier {
    let mut verifier = Verifier::new("counterfoil", "counterfoil", clock);
    verifier.trust(&signer()).unwrap();
    verifier.trust_pem("rsa", RSA_PUBLIC).unwrap();
    verifier
}

fn claims() -> Value {
    json!({
        "sub": "alice", "tenant": "demo", "role": "admin", "iss": "counterfoil", "aud": "counterfoil",
        "iat": NOW, "exp": NOW + 60, "jti": "1",
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

/// Signs with our own key.
fn sign(claims: &Value) -> String {
    forge(Algorithm::EdDSA, signer().id(), claims, &EncodingKey::from_ed_pem(ED.as_bytes()).unwrap())
}

fn forge(algorithm: Algorithm, id: &str, claims: &Value, key: &EncodingKey) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// What the token of an operator says.
fn claims_of(believed: &Believed) -> Claims {
    match believed {
        Believed::Operator(operator) => operator.claims.clone(),
        Believed::Session(claims) => panic!("a session: {claims:?}"),
    }
}

fn refusal(token: &str) -> CredentialError {
    verifier(clock()).verify(token).unwrap_err()
}

fn base64(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn an_issued_token_is_believed_and_says_what_was_put_in() {
    let clock = clock();
    let ids = Counted(AtomicU64::new(7));
    let tenant = Slug::new("demo").unwrap();
    let grant =
        Grant { subject: "alice", tenant: &tenant, role: Role::Auditor, lifetime: TimeDelta::hours(12) };
    let token = signer().issue(&grant, clock.as_ref(), &ids).unwrap();
    let claims = claims_of(&verifier(clock).verify(&token).unwrap());
    let expected = Claims {
        sub: "alice".into(),
        tenant: "demo".into(),
        role: Role::Auditor,
        iss: "counterfoil".into(),
        aud: vec!["counterfoil".into()],
        iat: NOW,
        exp: NOW + 12 * 60 * 60,
        nbf: None,
        jti: Uuid::from_u64_pair(0, 7).to_string(),
    };
    assert_eq!(claims, expected);
}

#[test]
fn an_rsa_key_that_was_configured_is_believed() {
    let key = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let token = forge(Algorithm::RS256, "rsa", &with("aud", json!(["others", "counterfoil"])), &key);
    assert_eq!(claims_of(&verifier(clock()).verify(&token).unwrap()).sub, "alice");
}

#[test]
fn the_injected_clock_decides_about_the_end() {
    let (clock, token) = (clock(), sign(&claims()));
    let verifier = verifier(clock.clone());
    // 60 seconds of life and 30 of leeway.
    clock.0.store(NOW + 89, Ordering::Relaxed);
    verifier.verify(&token).unwrap();
    clock.0.store(NOW + 90, Ordering::Relaxed);
    assert_eq!(verifier.verify(&token).unwrap_err(), CredentialError::Expired);
}

#[test]
fn a_token_from_the_future_is_not_yet_valid() {
    assert_eq!(refusal(&sign(&with("nbf", json!(NOW + 31)))), CredentialError::NotYetValid);
    assert_eq!(refusal(&sign(&with("iat", json!(NOW + 31)))), CredentialError::NotYetValid);
    verifier(clock()).verify(&sign(&with("nbf", json!(NOW + 30)))).unwrap();
}

#[test]
fn a_token_without_an_end_is_malformed() {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("exp");
    assert_eq!(refusal(&sign(&claims)), CredentialError::Malformed);
}

#[test]
fn claims_of_the_wrong_form_are_malformed() {
    let cases = [
        ("role", json!("emperor")),
        ("tenant", json!("")),
        ("tenant", json!("Not A Slug")),
        ("tenant", json!(7)),
        ("sub", json!("")),
        ("exp", json!("tomorrow")),
        ("aud", json!(7)),
    ];
    for (key, value) in cases {
        assert_eq!(refusal(&sign(&with(key, value.clone()))), CredentialError::Malformed, "{key}: {value}");
    }
}

#[test]
fn another_issuer_and_another_audience_are_refused() {
    assert_eq!(refusal(&sign(&with("iss", json!("someone")))), CredentialError::WrongIssuer);
    assert_eq!(refusal(&sign(&with("aud", json!("someone")))), CredentialError::WrongAudience);
    assert_eq!(refusal(&sign(&with("aud", json!([])))), CredentialError::WrongAudience);
}

#[test]
fn a_changed_token_is_refused() {
    let token = sign(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let forged = base64(&with("tenant", json!("other")).to_string());
    assert_eq!(refusal(&format!("{}.{forged}.{}", parts[0], parts[2])), CredentialError::Signature);
}

#[test]
fn a_token_signed_by_a_key_of_the_same_name_is_refused() {
    let stranger = EncodingKey::from_ed_pem(super::signer::generate().unwrap().as_bytes()).unwrap();
    let token = forge(Algorithm::EdDSA, signer().id(), &claims(), &stranger);
    assert_eq!(refusal(&token), CredentialError::Signature);
}

#[test]
fn a_token_without_a_known_key_is_refused() {
    let key = EncodingKey::from_ed_pem(ED.as_bytes()).unwrap();
    assert_eq!(refusal(&forge(Algorithm::EdDSA, "nobody", &claims(), &key)), CredentialError::UnknownKey);
    let nameless = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(), &key).unwrap();
    assert_eq!(refusal(&nameless), CredentialError::UnknownKey);
}

#[test]
fn algorithm_none_is_refused() {
    for none in ["none", "None", "NONE"] {
        let header = base64(&json!({"alg": none, "typ": "JWT", "kid": signer().id()}).to_string());
        let payload = base64(&claims().to_string());
        assert_eq!(refusal(&format!("{header}.{payload}.")), CredentialError::Malformed);
    }
}

#[test]
fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    for secret in [RSA_PUBLIC.as_bytes(), ED_PUBLIC.as_bytes(), signer().public()] {
        for id in ["rsa", signer().id()] {
            let token = forge(Algorithm::HS256, id, &claims(), &EncodingKey::from_secret(secret));
            assert_eq!(refusal(&token), CredentialError::Signature);
        }
    }
}

#[test]
fn the_algorithm_is_bound_to_the_key() {
    let rsa = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let ed = EncodingKey::from_ed_pem(ED.as_bytes()).unwrap();
    for token in [
        forge(Algorithm::RS256, signer().id(), &claims(), &rsa),
        forge(Algorithm::EdDSA, "rsa", &claims(), &ed),
        forge(Algorithm::RS512, "rsa", &claims(), &rsa),
        forge(Algorithm::PS256, "rsa", &claims(), &rsa),
    ] {
        assert_eq!(refusal(&token), CredentialError::Signature);
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let long = "a".repeat(9_000);
    for text in ["", ".", "..", "a.b.c", "Bearer x", "\u{1F600}.\u{1F600}.\u{1F600}", &long] {
        assert_eq!(refusal(text), CredentialError::Malformed, "{text}");
    }
    let critical = Header {
        kid: Some(signer().id().to_owned()),
        crit: Some(vec!["x".into()]),
        ..Header::new(Algorithm::EdDSA)
    };
    let token = jsonwebtoken::encode(&critical, &claims(), &EncodingKey::from_ed_pem(ED.as_bytes()).unwrap())
        .unwrap();
    assert_eq!(refusal(&token), CredentialError::Malformed);
}

proptest! {
    #[test]
    fn any_bytes_are_no_token_of_ours(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..5),
    ) {
        let verifier = verifier(clock());
        let encoded: Vec<String> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        for text in [String::from_utf8_lossy(&bytes).as_ref(), encoded.join(".").as_str()] {
            prop_assert!(verifier.verify(text).is_err());
        }
    }

    #[test]
    fn headers_and_claims_of_any_form_are_refused_without_the_signature_of_a_key_of_ours(
        algorithm in "none|None|NONE|HS256|HS512|RS256|PS256|ES256|EdDSA|\\PC{0,9}",
        id in prop_oneof![Just(signer().id().to_owned()), Just("rsa".to_owned()), any::<String>()],
        claims in "\\PC{0,60}",
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"}).to_string();
        for claims in [claims, self::claims().to_string()] {
            let token = format!("{}.{}.{}", base64(&header), base64(&claims), URL_SAFE_NO_PAD.encode(&signature));
            prop_assert!(verifier(clock()).verify(&token).is_err());
        }
    }

    #[test]
    fn a_token_has_one_text(at in any::<prop::sample::Index>(), by in "[A-Za-z0-9_=. -]") {
        let token = sign(&claims());
        let verifier = verifier(clock());
        prop_assert!(verifier.verify(&token).is_ok());
        let mut changed = token.clone();
        let at = at.index(token.len());
        changed.replace_range(at..=at, &by);
        prop_assert!(changed == token || verifier.verify(&changed).is_err(), "{}", changed);
    }

    #[test]
    fn claims_of_any_form_that_our_key_signed_are_believed_as_they_are_or_refused(
        name in "sub|tenant|role|iss|aud|iat|nbf|exp|jti|[a-z]{1,5}",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from), Just(serde_json::from_str("1.5").unwrap()), any::<String>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from), Just(Value::Null), Just(json!([])), Just(json!({"a": [1]})),
        ],
    ) {
        let claims = with(&name, value);
        if let Ok(believed) = verifier(clock()).verify(&sign(&claims)) {
            let believed = serde_json::to_value(claims_of(&believed)).unwrap();
            for claim in ["sub", "tenant", "role", "iss", "iat", "exp", "jti"] {
                prop_assert_eq!(&believed[claim], &claims[claim], "{}", claim);
            }
        }
    }
}

#[test]
fn only_public_keys_of_sufficient_length_are_taken() {
    let mut verifier = verifier(clock());
    for (id, pem) in [("a", ED), ("b", RSA), ("c", SHORT_RSA_PUBLIC), ("d", "nonsense")] {
        assert!(matches!(verifier.trust_pem(id, pem), Err(KeyError::Form(_))), "{id}");
    }
    assert!(matches!(verifier.trust_pem("rsa", ED_PUBLIC), Err(KeyError::Duplicate(_))));
    verifier.trust_pem("another", ED_PUBLIC).unwrap();
}

#[test]
fn the_key_file_is_made_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = std::env::temp_dir().join(format!("counterfoil-key-{}", std::process::id()));
    let path = directory.join("deep").join("signing-key.pem");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| Signer::open(&path, "counterfoil", "counterfoil").unwrap().id().to_owned())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Signer::open(&path, "counterfoil", "counterfoil"), Err(KeyError::Exposed(_))));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn roles_read_as_they_are_written() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).unwrap(), json!(role.as_str()));
    }
    assert!("root".parse::<Role>().unwrap_err().contains("superadmin"));
}

mod sessions {
    use domain::{SessionId, UserId};
    use zeroize::Zeroizing;

    use super::*;
    use crate::credential::{SessionClaims, SessionKey, SessionKeys};

    const USER: UserId = UserId(Uuid::from_u128(1));
    const SESSION: SessionId = SessionId(Uuid::from_u128(2));

    fn key(id: &str, seed: u8) -> SessionKey {
        SessionKey { id: id.into(), seed: Zeroizing::new([seed; 32]) }
    }

    fn issue(keys: &SessionKeys) -> String {
        let ids = Counted(AtomicU64::new(1));
        keys.issue(USER, SESSION, TimeDelta::minutes(10), clock().as_ref(), &ids).unwrap()
    }

    fn session_of(believed: &Believed) -> SessionClaims {
        match believed {
            Believed::Session(claims) => claims.as_ref().clone(),
            Believed::Operator(operator) => panic!("an operator: {operator:?}"),
        }
    }

    #[test]
    fn a_session_is_believed_while_its_key_is_published() {
        let verifier = verifier(clock());
        let keys = verifier.sessions();
        keys.take_up(&[key("a", 1)], "a").unwrap();
        let first = issue(keys);
        let claims = session_of(&verifier.verify(&first).unwrap());
        assert_eq!((claims.sub, claims.sid, claims.exp), (USER, SESSION, NOW + 600));
        // The next key is published before it signs, and the one before it after it has signed.
        keys.take_up(&[key("a", 1), key("b", 2)], "a").unwrap();
        keys.take_up(&[key("a", 1), key("b", 2)], "b").unwrap();
        let second = issue(keys);
        assert_eq!(keys.published().len(), 2);
        verifier.verify(&first).unwrap();
        verifier.verify(&second).unwrap();
        // What was remembered does not outlive its key.
        keys.take_up(&[key("b", 2)], "b").unwrap();
        assert_eq!(verifier.verify(&first).unwrap_err(), CredentialError::UnknownKey);
        verifier.verify(&second).unwrap();
    }

    #[test]
    fn keys_that_cannot_sign_change_nothing() {
        let keys = SessionKeys::new("counterfoil", "counterfoil");
        keys.take_up(&[key("a", 1)], "a").unwrap();
        assert!(keys.take_up(&[key("b", 2)], "a").is_err());
        assert!(keys.take_up(&[key("b", 2), key("b", 3)], "b").is_err());
        assert_eq!(keys.published().iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_key_of_sessions_signs_nothing_for_operators_and_theirs_none_for_sessions() {
        let verifier = verifier(clock());
        verifier.sessions().take_up(&[key("a", 1)], "a").unwrap();
        let secret = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let der = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_der(&secret).unwrap();
        let session_key = EncodingKey::from_ed_der(der.as_bytes());
        let for_operator = forge(Algorithm::EdDSA, "a", &claims(), &session_key);
        assert_eq!(verifier.verify(&for_operator).unwrap_err(), CredentialError::Malformed);
        let session = json!({
            "sub": USER, "sid": SESSION, "iss": "counterfoil", "aud": "counterfoil",
            "iat": NOW, "exp": NOW + 60, "jti": "1",
        });
        verifier.verify(&forge(Algorithm::EdDSA, "a", &session, &session_key)).unwrap();
        assert_eq!(verifier.verify(&sign(&session)).unwrap_err(), CredentialError::Malformed);
        // Another algorithm, with what everybody knows as its secret.
        let public = secret.verifying_key().to_bytes();
        let forged = forge(Algorithm::HS256, "a", &session, &EncodingKey::from_secret(&public));
        assert_eq!(verifier.verify(&forged).unwrap_err(), CredentialError::Signature);
    }
}
