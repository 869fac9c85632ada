use domain::Amount;
use journal::Position;
use projections::{AssetSum, BalanceView, TrialBalance};
use serde::Serialize;
use utoipa::ToSchema;

/// A wallet's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Balance)]
pub struct BalanceBody {
    /// The wallet's path.
    #[schema(example = "customers:42:credits")]
    pub wallet: String,
    /// Its asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// What it has.
    #[schema(value_type = String, example = "100.00")]
    pub posted: Amount,
    /// What is promised away.
    #[schema(value_type = String, example = "12.50")]
    pub held: Amount,
    /// What is promised to it.
    #[schema(value_type = String, example = "0.00")]
    pub incoming: Amount,
    /// What can be spent: `posted - held - minimum`.
    #[schema(example = "87.50")]
    pub available: String,
    /// The position that this reflects.
    #[schema(example = "p3:1841")]
    pub position: String,
}

impl BalanceBody {
    /// A balance as it was at `position`.
    pub fn new(view: BalanceView, position: Position) -> Self {
        Self {
            wallet: view.path,
            asset: view.asset,
            posted: view.posted,
            held: view.held,
            incoming: view.incoming,
            available: view.available,
            position: position.to_string(),
        }
    }
}

/// The sums over the wallets of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Sum)]
pub struct SumBody {
    /// The asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// What they have.
    #[schema(example = "1000.00")]
    pub posted: String,
    /// What they have promised away.
    #[schema(example = "12.50")]
    pub held: String,
    /// What is promised to them.
    #[schema(example = "0.00")]
    pub incoming: String,
    /// How many they are.
    pub wallets: i64,
}

impl From<AssetSum> for SumBody {
    fn from(sum: AssetSum) -> Self {
        let AssetSum { asset, posted, held, incoming, wallets } = sum;
        Self { asset, posted, held, incoming, wallets }
    }
}

/// The sums per asset under a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Sums)]
pub struct SumsBody {
    /// What the paths begin with.
    #[schema(example = "customers:")]
    pub prefix: String,
    /// One sum per asset.
    pub items: Vec<SumBody>,
    /// The position that this reflects.
    #[schema(example = "p3:1841")]
    pub position: String,
}

/// Both sides of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Trial)]
pub struct TrialBody {
    /// The asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// The sum of all negative balances, as a positive number.
    #[schema(example = "1000.00")]
    pub debits: String,
    /// The sum of all positive balances.
    #[schema(example = "1000.00")]
    pub credits: String,
    /// Credits less debits: zero.
    #[schema(example = "0.00")]
    pub difference: String,
    /// How many wallets there are.
    pub wallets: i64,
}

impl From<TrialBalance> for TrialBody {
    fn from(trial: TrialBalance) -> Self {
        let TrialBalance { asset, debits, credits, difference, wallets } = trial;
        Self { asset, debits, credits, difference, wallets }
    }
}

/// The trial balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TrialBalance)]
pub struct TrialBalanceBody {
    /// One line per asset.
    pub items: Vec<TrialBody>,
    /// The position that this reflects.
    #[schema(example = "p3:1841")]
    pub position: String,
}
