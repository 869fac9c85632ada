use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use commands::{Command, TransactionRequest};
use domain::transaction::Posting;
use domain::{Amount, AssetCode, Metadata, Reason, Reference, WalletPath};
use projections::PointInTime;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, WalletAt, Write, Writer};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::TransactionBody;

/// The wallet on the other side of an adjustment, unless another one is named.
const AGAINST: &str = "@adjustments";

/// An adjustment of a balance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustWallet {
    /// What to add; negative for what to take away.
    #[schema(value_type = String, format = "amount", example = "-2.50")]
    pub amount: Field<Amount>,
    /// Why.
    #[schema(value_type = String, format = "reason", example = "goodwill for the outage of 3 May")]
    pub reason: Field<Reason>,
    /// The wallet on the other side; `@adjustments` by default.
    #[schema(value_type = Option<String>, format = "wallet-path", example = "@adjustments")]
    pub against: Option<Field<WalletPath>>,
    /// The caller's name for it, unique within the tenant.
    #[schema(value_type = Option<String>, format = "reference")]
    pub reference: Option<Field<Reference>>,
    /// When it took effect, where that is not now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub effective_at: Option<Field<DateTime<Utc>>>,
    /// The caller's own facts.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Field<Metadata>>,
}

impl Document for AdjustWallet {}

/// Adjusts a balance, with a reason; a frozen wallet takes it too.
#[utoipa::path(post, path = "/v1/wallets/{path}/adjust", tag = "Wallets", request_body = AdjustWallet,
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The transaction that adjusts", body = TransactionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn adjust(Write { body, writer }: Write<AdjustWallet>, WalletAt(path): WalletAt) -> Answer {
    let asset = asset_of(&writer, &path).await?;
    let request = body.request(path, asset)?;
    let outcome = writer.submit(Command::Transact(request)).await?;
    answer::done(outcome, StatusCode::CREATED, TransactionBody::try_from)
}

/// The asset of a wallet never changes, so reading it before the command is decided is safe. The journal knows a
/// wallet at once, and it is the journal that answers questions about a point in time.
async fn asset_of(writer: &Writer, path: &WalletPath) -> Result<AssetCode, Problem> {
    let end_of_time = DateTime::from_timestamp_secs(253_402_300_799);
    let at = PointInTime { as_of: end_of_time, effective_at: None };
    let found = writer.ledger().balance(path, at).await?.value.ok_or_else(|| super::absent(path))?;
    AssetCode::new(&found.asset).map_err(Problem::internal)
}

impl AdjustWallet {
    fn request(self, path: WalletPath, asset: AssetCode) -> Result<TransactionRequest, Problem> {
        let against = match self.against {
            Some(against) => against.0,
            None => WalletPath::new(AGAINST).map_err(Problem::internal)?,
        };
        let signed = self.amount.0;
        if signed.is_zero() {
            let detail = "the amount of an adjustment must not be zero";
            return Err(Problem::new(code::AMOUNT_NOT_POSITIVE, detail).at("amount"));
        }
        let (from, to, amount) = if signed.is_negative() {
            let too_large = |error| Problem::new(code::AMOUNT_TOO_LARGE, format!("{error}")).at("amount");
            (path, against, signed.checked_neg().map_err(too_large)?)
        } else {
            (against, path, signed)
        };
        Ok(TransactionRequest {
            postings: vec![Posting { from, to, amount, asset }],
            reference: self.reference.map(|reference| reference.0),
            effective_at: self.effective_at.map(|time| time.0),
            adjustment: Some(self.reason.0),
            metadata: self.metadata.unwrap_or_default().0,
            ..TransactionRequest::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::parse;

    fn posting(text: &str) -> (String, String, String) {
        let body: AdjustWallet = parse(text.as_bytes()).unwrap();
        let request = body.request(WalletPath::new("a").unwrap(), AssetCode::new("USD").unwrap()).unwrap();
        let Posting { from, to, amount, .. } = &request.postings[0];
        (from.to_string(), to.to_string(), amount.to_string())
    }

    #[test]
    fn the_sign_says_which_way_it_goes() {
        let plus = posting(r#"{"amount":"1.50","reason":"x"}"#);
        assert_eq!(plus, ("@adjustments".into(), "a".into(), "1.50".into()));
        let minus = posting(r#"{"amount":"-1.50","reason":"x","against":"@gifts"}"#);
        assert_eq!(minus, ("a".into(), "@gifts".into(), "1.50".into()));
    }

    #[test]
    fn there_is_no_adjustment_without_a_reason() {
        assert_eq!(parse::<AdjustWallet>(br#"{"amount":"1"}"#).unwrap_err().code, code::MISSING_FIELD);
        let blank = parse::<AdjustWallet>(br#"{"amount":"1","reason":"  "}"#).unwrap_err();
        assert_eq!(blank.code, code::INVALID_REASON);
    }
}
