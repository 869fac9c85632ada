//! Assets.

use actix_web::http::StatusCode;
use commands::Command;
use domain::{AssetCode, Scale};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, NoQuery, Read, Write};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{AssetBody, List};

/// An asset to be registered. Its scale never changes afterwards.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAsset {
    /// Its code: 1 to 32 of A-Z, 0-9, `-`, `_` and `.`, starting with a letter.
    #[schema(value_type = String, format = "asset-code", example = "USD")]
    pub code: Field<AssetCode>,
    /// Its digits behind the point.
    #[schema(value_type = u8, minimum = 0, maximum = 18, example = 2)]
    pub scale: Field<Scale>,
}

impl Document for RegisterAsset {}

/// Registers an asset.
#[utoipa::path(post, path = "/v1/assets", tag = "Assets", request_body = RegisterAsset,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The asset was registered", body = AssetBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn register(Write { body, writer }: Write<RegisterAsset>) -> Answer {
    let (code, scale) = (body.code.0, body.scale.0);
    let outcome = writer.submit(Command::RegisterAsset { code: code.clone(), scale }).await?;
    answer::done(outcome, StatusCode::CREATED, |resource| AssetBody::registered(&resource, &code))
}

/// Lists the assets by code, all of them.
#[utoipa::path(get, path = "/v1/assets", tag = "Assets", params(After), responses(
    (status = 200, description = "Assets", body = List<AssetBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { view, .. }: Read<NoQuery>) -> Answer {
    let found = view.ledger().assets().await?;
    let items = found.value.iter().map(|(code, scale)| AssetBody::new(code, *scale)).collect();
    view.answer(found.position, &List { items, next: None })
}
