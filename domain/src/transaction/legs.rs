use super::Posting;
use crate::{Amount, AssetCode, MoneyError, WalletPath};

/// What one wallet has to bear of a set of postings: everything it pays and everything it receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The wallet.
    pub path: WalletPath,
    /// The asset that the postings say it holds.
    pub asset: AssetCode,
    /// The sum of what it pays.
    pub pays: Amount,
    /// The sum of what it receives.
    pub receives: Amount,
}

impl Leg {
    /// The net change of the wallet's `posted`.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn net(&self) -> Result<Amount, MoneyError> {
        self.receives.checked_sub(self.pays)
    }
}

/// Turns postings into one leg per wallet and asset, in the order in which they are first named, each posting
/// counting with the amount given for it (what is posted, settled or reversed of it).
///
/// A wallet named with two assets gets two legs: it will refuse one of them.
///
/// # Errors
/// [`MoneyError::Overflow`] where a sum leaves the range of an `i128`.
pub fn legs(postings: &[Posting], amounts: &[Amount]) -> Result<Vec<Leg>, MoneyError> {
    let mut legs: Vec<Leg> = Vec::with_capacity(postings.len() + 1);
    for (posting, amount) in postings.iter().zip(amounts) {
        let none = Amount::zero(amount.scale());
        add(&mut legs, &posting.from, &posting.asset, *amount, none)?;
        add(&mut legs, &posting.to, &posting.asset, none, *amount)?;
    }
    Ok(legs)
}

fn add(
    legs: &mut Vec<Leg>,
    path: &WalletPath,
    asset: &AssetCode,
    pays: Amount,
    receives: Amount,
) -> Result<(), MoneyError> {
    match legs.iter_mut().find(|leg| leg.path == *path && leg.asset == *asset) {
        Some(leg) => {
            leg.pays = leg.pays.checked_add(pays)?;
            leg.receives = leg.receives.checked_add(receives)?;
        }
        None => legs.push(Leg { path: path.clone(), asset: asset.clone(), pays, receives }),
    }
    Ok(())
}
