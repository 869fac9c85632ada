//! What holds for all calls of a tenant.

use actix_web::http::StatusCode;
use commands::Command;
use domain::ZoneName;
use domain::catalogue::CatalogueCommand;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, NoQuery, Read, Write};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{MeteringBody, catalogue_of};

/// What is to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMetering {
    /// The time zone whose months and days count, by its name in the IANA database.
    #[schema(value_type = String, format = "zone-name", example = "Europe/Berlin")]
    pub time_zone: Field<ZoneName>,
}

impl Document for PutMetering {}

/// Shows what holds for all calls.
#[utoipa::path(get, path = "/v1/metering", tag = "Policies", params(After), responses(
    (status = 200, description = "What holds", body = MeteringBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    view.answer(position, &MeteringBody::from(&catalogue))
}

/// Sets what holds for all calls. Periods that have begun end as they were to end.
#[utoipa::path(put, path = "/v1/metering", tag = "Policies", request_body = PutMetering,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "What holds", body = MeteringBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutMetering>) -> Answer {
    let command = CatalogueCommand::SetTimeZone { zone: body.time_zone.0 };
    let outcome = writer.submit(Command::Catalogue(command)).await?;
    answer::done(outcome, StatusCode::OK, |resource| Ok(MeteringBody::from(&catalogue_of(resource)?)))
}
