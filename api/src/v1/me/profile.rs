//! One's own profile, and its end.

use actix_web::http::StatusCode;
use domain::{Label, Metadata, WebAddress};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, NoQuery, Person, PersonAsks};
use crate::field::{Clearable, Field};
use crate::person::{Locale, ProfileChange, Secret};
use crate::problem::ProblemBody;
use crate::resource::{ErasedBody, UserBody};
use crate::session;

/// Shows one's own profile.
#[utoipa::path(get, path = "/v1/me", tag = "Me", params(After), responses(
    (status = 200, description = "The profile", body = UserBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(asks: PersonAsks<NoQuery>) -> Answer {
    let found = asks.visitor.people().profile(asks.user).await?;
    asks.answer(Some(found.position), &UserBody::from(found.value))
}

/// What is to change. What is left out stays; null takes a field away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeProfile {
    /// What others read.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label", example = "Ada King")]
    pub name: Option<Field<Label>>,
    /// The address of a picture.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "web-address", example = "https://example.com/ada.png")]
    pub avatar: Clearable<WebAddress>,
    /// The language that is preferred.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "locale", example = "en-GB")]
    pub locale: Clearable<Locale>,
    /// The application's own settings for this person: an object of at most 2,000 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub preferences: Clearable<Metadata>,
}

impl Document for ChangeProfile {}

/// Changes one's own profile.
#[utoipa::path(patch, path = "/v1/me", tag = "Me", request_body = ChangeProfile, responses(
    (status = 200, description = "The profile as it is now", body = UserBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn change(Person { body, user, visitor, .. }: Person<ChangeProfile>) -> Answer {
    let change = ProfileChange {
        name: body.name.map(|name| name.0),
        avatar: body.avatar.into(),
        locale: body.locale.into(),
        preferences: body.preferences.into(),
    };
    let (profile, position) = visitor.people().change_profile(user, change, visitor.origin()).await?;
    answer::written(StatusCode::OK, Some(position), false, &UserBody::from(profile))
}

/// A word that it is really meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The password, where the account has one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "seven quiet otters")]
    pub password: Option<Secret>,
}

impl Document for Erase {}

/// Erases everything that says who one is, for good.
///
/// The key of one's personal data is destroyed: the journal stays complete, and nobody can read name or address in it any
/// more. The last owner of a tenant hands it over or closes it first. May be repeated until it has answered.
#[utoipa::path(delete, path = "/v1/me", tag = "Me", request_body = Erase, responses(
    (status = 200, description = "The receipt", body = ErasedBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn erase(Person { body, user, visitor, .. }: Person<Erase>) -> Answer {
    visitor.try_proof(user)?;
    let receipt = visitor.people().erase(user, body.password.as_ref(), visitor.origin()).await?;
    let mut response = answer::written(StatusCode::OK, None, false, &ErasedBody::from(receipt))?;
    session::forget(&mut response)?;
    Ok(response)
}
