use crate::answer::Answer;
use crate::extract::{After, NoQuery, Read, WalletAt};
use crate::problem::ProblemBody;
use crate::resource::WalletBody;

/// Shows a wallet with its balance.
#[utoipa::path(get, path = "/v1/wallets/{path}", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"), After), responses(
    (status = 200, description = "The wallet", body = WalletBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, WalletAt(path): WalletAt) -> Answer {
    let found = view.ledger().wallet(&path).await?;
    view.answer_or(found, || super::absent(&path), |wallet, _| Ok(WalletBody::from(wallet)))
}
