use commands::Resource;
use domain::wallet::{Wallet, WalletStatus};
use domain::{Amount, Scale};
use projections::WalletView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A wallet with its balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Wallet)]
pub struct WalletBody {
    /// Its path.
    #[schema(example = "customers:42:credits")]
    pub path: String,
    /// The asset it holds.
    #[schema(example = "USD")]
    pub asset: String,
    /// `open`, `frozen` or `closed`.
    #[schema(example = "open")]
    pub status: String,
    /// What `posted - held` may not fall below; null for no limit.
    #[schema(value_type = Option<String>, example = "0.00")]
    pub minimum: Option<Amount>,
    /// What it has.
    #[schema(value_type = String, example = "100.00")]
    pub posted: Amount,
    /// What pending transactions promise away.
    #[schema(value_type = String, example = "12.50")]
    pub held: Amount,
    /// What pending transactions promise to it.
    #[schema(value_type = String, example = "0.00")]
    pub incoming: Amount,
    /// What can still be spent: `posted - held - minimum`.
    #[schema(example = "87.50")]
    pub available: String,
    /// The caller's own facts.
    #[schema(value_type = Object)]
    pub metadata: Value,
}

impl From<WalletView> for WalletBody {
    fn from(view: WalletView) -> Self {
        Self {
            path: view.path,
            asset: view.asset,
            status: view.status,
            minimum: view.minimum,
            posted: view.posted,
            held: view.held,
            incoming: view.incoming,
            available: view.available,
            metadata: view.metadata,
        }
    }
}

impl From<&Wallet> for WalletBody {
    fn from(wallet: &Wallet) -> Self {
        let status = match wallet.status {
            WalletStatus::Absent => "absent",
            WalletStatus::Open => "open",
            WalletStatus::Frozen => "frozen",
            WalletStatus::Closed => "closed",
        };
        Self {
            path: wallet.path.to_string(),
            asset: wallet.asset.to_string(),
            status: status.to_owned(),
            minimum: wallet.minimum,
            posted: wallet.balance.posted,
            held: wallet.balance.held,
            incoming: wallet.balance.incoming,
            available: available(wallet),
            metadata: Value::Object(wallet.metadata.as_map().clone()),
        }
    }
}

impl TryFrom<Resource> for WalletBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Wallet(_, wallet) => Ok(Self::from(&wallet)),
            _ => Err(Problem::internal("a command for a wallet came to something else")),
        }
    }
}

/// In decimal digits: with an extreme limit it can exceed any amount.
fn available(wallet: &Wallet) -> String {
    if let Ok(amount) = wallet.available() {
        return amount.to_string();
    }
    let scale = wallet.balance.posted.scale();
    let minimum = wallet.minimum.unwrap_or(Amount::zero(scale));
    // A limit is what makes it too large, so it is the limit's size on top of what is free.
    let free = wallet.balance.posted.minor().saturating_sub(wallet.balance.held.minor());
    let size = free.unsigned_abs().saturating_add(minimum.minor().unsigned_abs());
    digits(free < 0, size, scale)
}

fn digits(negative: bool, size: u128, scale: Scale) -> String {
    let sign = if negative { "-" } else { "" };
    let behind = usize::from(scale.digits());
    let text = format!("{size:0>width$}", width = behind + 1);
    let (whole, fraction) = text.split_at(text.len() - behind);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use domain::wallet::Balance;

    use super::*;

    fn wallet(posted: i128, minimum: i128, scale: u8) -> Wallet {
        let scale = Scale::new(scale).unwrap();
        let posted = Amount::from_minor(posted, scale);
        let minimum = Some(Amount::from_minor(minimum, scale));
        Wallet { balance: Balance { posted, ..Balance::empty(scale) }, minimum, ..Wallet::default() }
    }

    #[test]
    fn what_is_available_is_exact_even_beyond_an_amount() {
        assert_eq!(available(&wallet(10_000, 2_500, 2)), "75.00");
        let extreme = available(&wallet(i128::MAX, -i128::MAX, 2));
        assert_eq!(extreme, "3402823669209384634633746074317682114.54");
        assert_eq!(digits(true, 5, Scale::new(2).unwrap()), "-0.05");
        assert_eq!(digits(false, 5, Scale::default()), "5");
    }
}
