use actix_web::http::StatusCode;
use commands::Command;
use domain::WalletPath;

use crate::answer::{self, Answer};
use crate::extract::{Nothing, WalletAt, Write, Writer};
use crate::problem::ProblemBody;
use crate::resource::WalletBody;

/// Freezes a wallet: no new postings and holds.
///
/// What is pending may still be settled, released or expire, and administrators may adjust.
#[utoipa::path(post, path = "/v1/wallets/{path}/freeze", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The wallet is frozen", body = WalletBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn freeze(Write { writer, .. }: Write<Nothing>, at: WalletAt) -> Answer {
    change(&writer, at, |path| Command::FreezeWallet { path }).await
}

/// Unfreezes a wallet.
#[utoipa::path(post, path = "/v1/wallets/{path}/unfreeze", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The wallet is open", body = WalletBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn unfreeze(Write { writer, .. }: Write<Nothing>, at: WalletAt) -> Answer {
    change(&writer, at, |path| Command::UnfreezeWallet { path }).await
}

/// Closes an empty wallet for good.
#[utoipa::path(post, path = "/v1/wallets/{path}/close", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The wallet is closed", body = WalletBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn close(Write { writer, .. }: Write<Nothing>, at: WalletAt) -> Answer {
    change(&writer, at, |path| Command::CloseWallet { path }).await
}

async fn change(
    writer: &Writer,
    WalletAt(path): WalletAt,
    command: impl FnOnce(WalletPath) -> Command,
) -> Answer {
    let outcome = writer.submit(command(path)).await?;
    answer::done(outcome, StatusCode::OK, WalletBody::try_from)
}
