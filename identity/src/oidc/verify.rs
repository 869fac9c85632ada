//! From the provider's tokens to somebody.

use chrono::TimeDelta;
use domain::Clock;
use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, EndUserName, LocalizedClaim, Nonce, OAuth2TokenResponse as _,
    SignatureVerificationError, TokenResponse as _,
};

use super::provider::Provider;
use super::{Identified, OidcError};
use crate::chain::with_sources;

/// How far a provider's clock may be ahead of ours.
const AHEAD: TimeDelta = TimeDelta::minutes(1);
/// The longest subject; OpenID Connect Core 1.0, section 2.
const LONGEST_SUBJECT: usize = 255;
/// The longest name or address that is taken over.
const LONGEST_CLAIM: usize = 320;

/// Signatures that only the provider can make. With a shared secret (`HS256`) we could.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Who the tokens are about.
pub(super) async fn identity(
    provider: &Provider,
    metadata: &CoreProviderMetadata,
    answer: &CoreTokenResponse,
    nonce: &Nonce,
    clock: &dyn Clock,
) -> Result<Identified, OidcError> {
    let token = answer.id_token().ok_or_else(|| OidcError::Refused("there is no ID token".to_owned()))?;
    let newer;
    let (metadata, claims) = match claims(provider, metadata, token, nonce, clock) {
        // The provider may have begun to sign with another key since we asked for its keys.
        Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
            newer = provider.metadata_again().await?;
            (newer.as_ref(), claims(provider, &newer, token, nonce, clock))
        }
        other => (metadata, other),
    };
    let claims = claims.map_err(|error| OidcError::Refused(with_sources(&error)))?;
    if claims.authorized_party().is_some_and(|party| *party != provider.client_id) {
        return Err(OidcError::Refused("the ID token was issued for another client".to_owned()));
    }
    check_access_token(provider, metadata, answer, token, &claims, clock)?;
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
        return Err(OidcError::Refused("the subject is empty or too long".to_owned()));
    }
    let (mut email, mut verified, mut name) = (
        claims.email().map(|email| email.as_str().to_owned()),
        claims.email_verified(),
        plain_name(claims.name()),
    );
    // Many providers put nothing but the subject into the ID token.
    if email.is_none() && metadata.userinfo_endpoint().is_some() {
        let info = user_info(provider, metadata, answer, &claims).await?;
        email = info.email().map(|email| email.as_str().to_owned());
        verified = info.email_verified();
        name = name.or_else(|| plain_name(info.name()));
    }
    let bounded = |text: &String| !text.trim().is_empty() && text.len() <= LONGEST_CLAIM;
    Ok(Identified {
        provider: provider.name.clone(),
        issuer: provider.issuer().to_owned(),
        subject: subject.to_owned(),
        email_verified: email.is_some() && verified == Some(true),
        email: email.filter(bounded),
        name: name.filter(bounded),
        link: None,
    })
}

/// The claims of an ID token that is in order by these keys.
fn claims(
    provider: &Provider,
    metadata: &CoreProviderMetadata,
    token: &CoreIdToken,
    nonce: &Nonce,
    clock: &dyn Clock,
) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
    let client = provider.client(metadata);
    let verifier = verifier(client.id_token_verifier(), clock);
    token.claims(&verifier, nonce).cloned()
}

fn verifier<'a>(verifier: CoreIdTokenVerifier<'a>, clock: &'a dyn Clock) -> CoreIdTokenVerifier<'a> {
    verifier.set_allowed_algs(ALGORITHMS).set_time_fn(|| clock.now()).set_issue_time_verifier_fn(|issued| {
        if issued > clock.now() + AHEAD { Err("it was issued in the future".to_owned()) } else { Ok(()) }
    })
}

/// That the access token is the one that the ID token was issued with, where the ID token tells.
fn check_access_token(
    provider: &Provider,
    metadata: &CoreProviderMetadata,
    answer: &CoreTokenResponse,
    token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
    clock: &dyn Clock,
) -> Result<(), OidcError> {
    let Some(expected) = claims.access_token_hash() else {
        return Ok(());
    };
    let refused = |what: String| OidcError::Refused(what);
    let client = provider.client(metadata);
    let verifier = verifier(client.id_token_verifier(), clock);
    let algorithm = token.signing_alg().map_err(|error| refused(error.to_string()))?;
    let key = token.signing_key(&verifier).map_err(|error| refused(error.to_string()))?;
    let actual = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
        .map_err(|error| refused(error.to_string()))?;
    if actual == *expected { Ok(()) } else { Err(refused("the access token is another one's".to_owned())) }
}

/// What the provider tells about the same subject.
async fn user_info(
    provider: &Provider,
    metadata: &CoreProviderMetadata,
    answer: &CoreTokenResponse,
    claims: &CoreIdTokenClaims,
) -> Result<CoreUserInfoClaims, OidcError> {
    let client = provider.client(metadata);
    client
        .user_info(answer.access_token().clone(), Some(claims.subject().clone()))
        .map_err(|error| OidcError::Unavailable(error.to_string()))?
        .request_async(&provider.http)
        .await
        .map_err(|error| OidcError::Unavailable(with_sources(&error)))
}

/// The name without a language, or the first.
fn plain_name(name: Option<&LocalizedClaim<EndUserName>>) -> Option<String> {
    let name = name?;
    let found = name.get(None).or_else(|| name.iter().next().map(|(_, text)| text))?;
    Some(found.as_str().to_owned())
}
