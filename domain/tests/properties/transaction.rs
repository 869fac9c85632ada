use cqrs_es::Aggregate as _;
use domain::transaction::{NewTransaction, Posting, TransactionCommand, TransactionRejection};
use domain::{Amount, AssetCode, Reason, Reference, Transaction, WalletPath};
use proptest::prelude::*;

use crate::{assert_replays, at, cents, config, decided};

/// Amounts are cents, one for each posting; times are seconds.
#[derive(Debug, Clone)]
enum Do {
    Post { amounts: Vec<i64>, expires: Option<i64> },
    Hold { amounts: Vec<i64>, expires: Option<i64> },
    Settle(Option<Vec<i64>>),
    Release,
    Expire,
    Reverse(Option<Vec<i64>>),
}

/// Commands with the moments in which they are decided.
fn commands() -> impl Strategy<Value = Vec<(i64, Do)>> {
    let amount = || prop_oneof![1 => -2..1_i64, 20 => 1..50_i64];
    let made = || (prop::collection::vec(amount(), 0..4), prop::option::of(0..30_i64));
    let part = || prop_oneof![1 => -2..0_i64, 4 => Just(0), 20 => 0..30_i64];
    let parts = || prop::option::of(prop::collection::vec(part(), 1..4));
    let one = prop_oneof![
        2 => made().prop_map(|(amounts, expires)| Do::Post { amounts, expires: expires.filter(|at| at % 4 == 0) }),
        4 => made().prop_map(|(amounts, expires)| Do::Hold { amounts, expires }),
        4 => parts().prop_map(Do::Settle),
        1 => Just(Do::Release),
        1 => Just(Do::Expire),
        6 => parts().prop_map(Do::Reverse),
    ];
    prop::collection::vec((0..30_i64, one), 0..16).prop_map(|mut commands| {
        // The clock of a partition stands still at most.
        let mut times: Vec<i64> = commands.iter().map(|(now, _)| *now).collect();
        times.sort_unstable();
        commands.iter_mut().zip(times).for_each(|((now, _), time)| *now = time);
        commands
    })
}

fn real(command: &Do) -> TransactionCommand {
    let amounts = |list: &[i64]| list.iter().map(|one| cents(*one)).collect::<Vec<Amount>>();
    let new = |list: &[i64], expires: Option<i64>| NewTransaction {
        postings: amounts(list)
            .into_iter()
            .map(|amount| Posting {
                from: WalletPath::new("a").unwrap(),
                to: WalletPath::new("@revenue").unwrap(),
                amount,
                asset: AssetCode::new("USD").unwrap(),
            })
            .collect(),
        reference: Some(Reference::new("invoice 7").unwrap()),
        effective_at: Some(at(1)),
        expires_at: expires.map(at),
        adjustment: Some(Reason::new("goodwill").unwrap()),
        metadata: serde_json::from_str(r#"{"order":{"id":7,"at":"x"}}"#).unwrap(),
    };
    match command {
        Do::Post { amounts, expires } => TransactionCommand::Post(new(amounts, *expires)),
        Do::Hold { amounts, expires } => TransactionCommand::Hold(new(amounts, *expires)),
        Do::Settle(list) => TransactionCommand::Settle { amounts: list.as_deref().map(amounts) },
        Do::Release => TransactionCommand::Release,
        Do::Expire => TransactionCommand::Expire,
        Do::Reverse(list) => TransactionCommand::Reverse { amounts: list.as_deref().map(amounts) },
    }
}

#[derive(Debug)]
struct Model {
    status: &'static str,
    /// What is held, or what can still be reversed, of each posting.
    left: Vec<i64>,
    expires: Option<i64>,
}

impl Model {
    fn expected(&mut self, now: i64, command: &Do) -> Result<(), &'static str> {
        let due = self.status == "pending" && self.expires.is_some_and(|at| at <= now);
        match command {
            Do::Post { expires: Some(_), .. } => return Err("expiry_without_hold"),
            Do::Post { amounts, expires } | Do::Hold { amounts, expires } => {
                match amounts.iter().min() {
                    None => return Err("postings_empty"),
                    Some(least) if *least <= 0 => return Err("amount_not_positive"),
                    _ if expires.is_some_and(|at| at <= now) => return Err("expiry_in_the_past"),
                    _ if self.status != "absent" => return Err("reference_taken"),
                    _ => {}
                }
                let status = if matches!(command, Do::Post { .. }) { "posted" } else { "pending" };
                *self = Self { status, left: amounts.clone(), expires: *expires };
                return Ok(());
            }
            _ if self.status == "absent" => return Err("transaction_not_found"),
            Do::Expire if self.status == "pending" && !due => return Err("hold_not_due"),
            Do::Settle(_) | Do::Release if due || self.status == "expired" => return Err("hold_expired"),
            Do::Expire | Do::Settle(_) | Do::Release if self.status != "pending" => {
                return Err("transaction_not_pending");
            }
            Do::Expire => self.status = "expired",
            Do::Release => self.status = "released",
            Do::Settle(amounts) => {
                self.left = self.part(amounts.as_ref(), "settlement_exceeds_hold")?;
                self.status = "settled";
            }
            Do::Reverse(amounts) => {
                if !["posted", "settled"].contains(&self.status) {
                    return Err("transaction_not_reversible");
                }
                let part = self.part(amounts.as_ref(), "reversal_exceeds_original")?;
                if part.iter().all(|amount| *amount == 0) {
                    return Err("nothing_to_reverse");
                }
                self.left.iter_mut().zip(part).for_each(|(left, gone)| *left -= gone);
                if self.left.iter().all(|left| *left == 0) {
                    self.status = "reversed";
                }
            }
        }
        Ok(())
    }

    fn part(&self, amounts: Option<&Vec<i64>>, too_much: &'static str) -> Result<Vec<i64>, &'static str> {
        let Some(amounts) = amounts else { return Ok(self.left.clone()) };
        if amounts.len() != self.left.len() {
            return Err("amounts_mismatch");
        }
        for (amount, left) in amounts.iter().zip(&self.left) {
            if *amount < 0 {
                return Err("amount_not_positive");
            }
            if amount > left {
                return Err(too_much);
            }
        }
        Ok(amounts.clone())
    }
}

#[test]
fn a_transaction_decides_as_its_model_does_and_replays() {
    proptest!(config(512), |(commands in commands())| {
        let mut model = Model { status: "absent", left: Vec::new(), expires: None };
        let (mut live, mut kept) = (Transaction::default(), Vec::new());
        for (now, command) in &commands {
            let decision = decided(live.decide(real(command), at(*now)), TransactionRejection::code, &mut kept);
            let wanted = model.expected(*now, command);
            prop_assert_eq!(decision.as_ref().map(|_| ()).map_err(|code| *code), wanted, "{:?} at {}", command, now);
            if let Ok(happened) = decision {
                live.apply(happened);
            }
            prop_assert_eq!(live.status.as_str(), model.status);
            if ["posted", "settled", "reversed"].contains(&model.status) {
                let gone = live.reversed.iter().map(|amount| amount.minor()).chain(std::iter::repeat(0));
                let left: Vec<i128> = live.final_amounts().iter().zip(gone).map(|(all, gone)| all.minor() - gone).collect();
                prop_assert_eq!(left, model.left.iter().copied().map(i128::from).collect::<Vec<_>>());
            }
        }
        assert_replays(&kept, &live);
    });
}
