//! The first operator of an installation.

use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::extract::{AnonymousAsking, Document, Parameters};
use crate::field::Field;
use crate::person::{Email, Secret};
use crate::problem::ProblemBody;
use crate::resource::PersonBody;

/// The link that the first start printed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BootstrapLink {
    /// The token of the link.
    #[param(value_type = String, format = "secret")]
    token: Secret,
}

impl Parameters for BootstrapLink {
    const WAITS: bool = false;
}

/// Who is to operate the platform.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The address. It is not confirmed by mail: who has the link has the server.
    #[schema(value_type = String, format = "mail-address", example = "root@example.com")]
    pub email: Field<Email>,
    /// The password: 12 to 128 characters, not one of the commonest.
    #[schema(value_type = String, min_length = 12, max_length = 128, example = "seven quiet otters")]
    pub password: Secret,
    /// What others read.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label", example = "Grace Hopper")]
    pub name: Option<Field<domain::Label>>,
}

impl Document for Bootstrap {}

/// Makes the first superadmin, with the one-time link that the first start printed.
#[utoipa::path(post, path = "/v1/auth/bootstrap", tag = "Sign-in", request_body = Bootstrap, security(()),
    params(BootstrapLink),
    responses((status = 201, description = "The platform has a superadmin", body = PersonBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn bootstrap(asking: AnonymousAsking<BootstrapLink, Bootstrap>) -> Answer {
    let AnonymousAsking { query, body: Bootstrap { email, password, name }, visitor } = asking;
    let name = name.map(|name| name.0);
    let user = visitor.people().bootstrap(&query.token, &email.0, &password, name, visitor.origin()).await?;
    answer::written(StatusCode::CREATED, None, false, &PersonBody { user: user.0 })
}
