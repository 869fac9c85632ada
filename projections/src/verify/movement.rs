//! What a wallet's events must do to its balance, told apart from the fold that is being verified.

use domain::wallet::{Balance, WalletEvent};
use domain::{MoneyError, TransactionId};

/// The balance after an event, from the one before it.
pub(super) fn after(before: Balance, said: &WalletEvent) -> Result<Balance, MoneyError> {
    let Balance { posted, held, incoming } = before;
    Ok(match said {
        WalletEvent::Posted { amount, .. } | WalletEvent::Reversed { amount, .. } => {
            Balance { posted: posted.checked_add(*amount)?, held, incoming }
        }
        WalletEvent::Held { outgoing, incoming: announced, .. } => Balance {
            posted,
            held: held.checked_add(*outgoing)?,
            incoming: incoming.checked_add(*announced)?,
        },
        WalletEvent::Settled { amount, outgoing, incoming: announced, .. } => Balance {
            posted: posted.checked_add(*amount)?,
            held: held.checked_sub(*outgoing)?,
            incoming: incoming.checked_sub(*announced)?,
        },
        WalletEvent::Released { outgoing, incoming: announced, .. }
        | WalletEvent::Expired { outgoing, incoming: announced, .. } => Balance {
            posted,
            held: held.checked_sub(*outgoing)?,
            incoming: incoming.checked_sub(*announced)?,
        },
        WalletEvent::Opened { .. }
        | WalletEvent::Frozen {}
        | WalletEvent::Unfrozen {}
        | WalletEvent::Closed {} => before,
    })
}

/// What an event adds to `posted`, and what it promises away less what it announces, in minor units.
pub(super) fn change(said: &WalletEvent) -> Option<(TransactionId, i128, i128)> {
    match said {
        WalletEvent::Posted { transaction_id, amount, .. }
        | WalletEvent::Reversed { transaction_id, amount, .. } => Some((*transaction_id, amount.minor(), 0)),
        WalletEvent::Settled { transaction_id, amount, outgoing, incoming, .. } => {
            Some((*transaction_id, amount.minor(), incoming.minor().wrapping_sub(outgoing.minor())))
        }
        WalletEvent::Held { transaction_id, outgoing, incoming, .. }
        | WalletEvent::Released { transaction_id, outgoing, incoming, .. }
        | WalletEvent::Expired { transaction_id, outgoing, incoming, .. } => {
            Some((*transaction_id, 0, outgoing.minor().wrapping_sub(incoming.minor())))
        }
        WalletEvent::Opened { .. }
        | WalletEvent::Frozen {}
        | WalletEvent::Unfrozen {}
        | WalletEvent::Closed {} => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Amount, TransactionId};

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn balance(posted: &str, held: &str, incoming: &str) -> Balance {
        Balance { posted: amount(posted), held: amount(held), incoming: amount(incoming) }
    }

    #[test]
    fn a_settlement_gives_back_the_hold_and_moves_what_was_settled() {
        let said = WalletEvent::Settled {
            transaction_id: TransactionId::default(),
            amount: amount("-3.00"),
            outgoing: amount("5.00"),
            incoming: amount("0.00"),
            effective_at: None,
            expires_at: None,
            balance: Balance::default(),
        };
        let before = balance("10.00", "5.00", "1.00");
        assert_eq!(after(before, &said), Ok(balance("7.00", "0.00", "1.00")));
        assert_eq!(change(&said), Some((TransactionId::default(), -300, -500)));
    }

    #[test]
    fn a_change_in_another_scale_is_found() {
        let said = WalletEvent::Posted {
            transaction_id: TransactionId::default(),
            amount: amount("1.000"),
            effective_at: None,
            balance: Balance::default(),
        };
        assert_eq!(after(balance("0.00", "0.00", "0.00"), &said), Err(MoneyError::ScaleMismatch));
    }
}
