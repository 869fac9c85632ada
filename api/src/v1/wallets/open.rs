use actix_web::http::StatusCode;
use commands::Command;
use domain::{Amount, AssetCode, Metadata, WalletPath};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Write};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::WalletBody;

/// A wallet to be opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenWallet {
    /// Its path: segments of letters, digits, `-`, `_` and `.`, joined by `:`.
    #[schema(value_type = String, format = "wallet-path", example = "customers:42:credits")]
    pub path: Field<WalletPath>,
    /// The asset it will hold.
    #[schema(value_type = String, format = "asset-code", example = "USD")]
    pub asset: Field<AssetCode>,
    /// What `posted - held` may not fall below: zero by default, and no limit for system wallets (`@...`).
    #[schema(value_type = Option<String>, format = "amount", example = "0.00")]
    pub minimum: Option<Field<Amount>>,
    /// The caller's own facts.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Field<Metadata>>,
}

impl Document for OpenWallet {}

/// Opens a wallet.
#[utoipa::path(post, path = "/v1/wallets", tag = "Wallets", request_body = OpenWallet,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The wallet was opened", body = WalletBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn open(Write { body, writer }: Write<OpenWallet>) -> Answer {
    let command = Command::OpenWallet {
        path: body.path.0,
        asset: body.asset.0,
        minimum: body.minimum.map(|minimum| minimum.0),
        metadata: body.metadata.unwrap_or_default().0,
    };
    let outcome = writer.submit(command).await?;
    answer::done(outcome, StatusCode::CREATED, WalletBody::try_from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::parse;

    #[test]
    fn a_wallet_is_opened_with_what_is_known_alone() {
        let body: OpenWallet =
            parse(br#"{"path":"@fees","asset":"USD","minimum":"-5","metadata":{"a":1}}"#).unwrap();
        assert_eq!(body.minimum.unwrap().0.to_string(), "-5");
        let cases = [
            (r#"{"path":"a b","asset":"USD"}"#, "invalid_path", Some("path")),
            (r#"{"path":"","asset":"USD"}"#, "invalid_path", Some("path")),
            (r#"{"path":"a","asset":"usd"}"#, "invalid_asset", Some("asset")),
            (r#"{"path":"a","asset":"USD","minimum":0}"#, "invalid_amount", Some("minimum")),
            (r#"{"path":"a","asset":"USD","metadata":[]}"#, "invalid_metadata", Some("metadata")),
            (r#"{"path":"a","asset":"USD","colour":1}"#, "unknown_field", Some("colour")),
            (r#"{"path":"a"}"#, "missing_field", None),
        ];
        for (text, code, field) in cases {
            let problem = parse::<OpenWallet>(text.as_bytes()).unwrap_err();
            assert_eq!((problem.code.name, problem.field.as_deref()), (code, field), "{text}");
        }
    }
}
