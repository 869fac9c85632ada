use std::cell::Cell;

use cqrs_es::Aggregate as _;
use domain::wallet::{Movement, Step, WalletCommand, WalletRejection};
use domain::{Amount, AssetCode, Metadata, Scale, TransactionId, Wallet, WalletPath};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, cents, config, decided};

/// Amounts are cents, transactions and times small numbers.
#[derive(Debug, Clone)]
enum Do {
    Open { minimum: Option<i64> },
    Freeze,
    Unfreeze,
    Close,
    Post { amount: i64, adjustment: bool, asset: &'static str },
    Hold { transaction: u8, out: i64, incoming: i64, expires: Option<i64> },
    Settle { transaction: u8, amount: i64, out: i64, incoming: i64, expires: Option<i64> },
    Release { transaction: u8, out: i64, incoming: i64, expires: Option<i64> },
    Expire { transaction: u8, out: i64, incoming: i64, expires: Option<i64> },
    Reverse { amount: i64 },
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    let part = || prop_oneof![1 => Just(0_i64), 4 => 0..300_i64];
    // Each transaction expires at its time, or never.
    let expiries = [(0, None), (1, Some(10)), (2, Some(20)), (3, Some(20))];
    let hold = || {
        let which = prop::sample::select(expiries.to_vec());
        (which, part(), part()).prop_map(|((id, expires), out, incoming)| (id, out, incoming, expires))
    };
    let asset = prop_oneof![15 => Just("USD"), 1 => Just("EUR")];
    let minimum = prop_oneof![3 => Just(Some(0)), 1 => Just(None), 2 => (-500..100_i64).prop_map(Some)];
    let one = prop_oneof![
        2 => minimum.prop_map(|minimum| Do::Open { minimum }),
        1 => Just(Do::Freeze),
        1 => Just(Do::Unfreeze),
        1 => Just(Do::Close),
        8 => (-400..600_i64, prop_oneof![4 => Just(false), 1 => Just(true)], asset)
            .prop_map(|(amount, adjustment, asset)| Do::Post { amount, adjustment, asset }),
        6 => hold().prop_map(|(transaction, out, incoming, expires)| Do::Hold { transaction, out, incoming, expires }),
        3 => (hold(), -300..300_i64).prop_map(|((transaction, out, incoming, expires), amount)| {
            Do::Settle { transaction, amount, out, incoming, expires }
        }),
        2 => hold().prop_map(|(transaction, out, incoming, expires)| Do::Release { transaction, out, incoming, expires }),
        2 => hold().prop_map(|(transaction, out, incoming, expires)| Do::Expire { transaction, out, incoming, expires }),
        2 => (-200..200_i64).prop_map(|amount| Do::Reverse { amount }),
    ];
    // Most sequences begin with an open wallet.
    (
        prop_oneof![9 => Just(Some(Do::Open { minimum: Some(0) })), 1 => Just(None)],
        prop::collection::vec(one, 0..40),
    )
        .prop_map(|(open, rest)| open.into_iter().chain(rest).collect())
}

fn real(command: &Do) -> WalletCommand {
    let path = || WalletPath::new("customers:42").unwrap();
    let id = |number: u8| TransactionId(Uuid::from_u128(number.into()));
    let part = |transaction_id, asset, step| {
        WalletCommand::Move(Movement {
            transaction_id,
            path: path(),
            asset: AssetCode::new(asset).unwrap(),
            step,
        })
    };
    match *command {
        Do::Open { minimum } => WalletCommand::Open {
            path: path(),
            asset: AssetCode::new("USD").unwrap(),
            scale: Scale::new(2).unwrap(),
            minimum: minimum.map(cents),
            metadata: serde_json::from_str::<Metadata>(r#"{"b":{"d":1,"c":[true]},"a":"é"}"#).unwrap(),
        },
        Do::Freeze => WalletCommand::Freeze,
        Do::Unfreeze => WalletCommand::Unfreeze,
        Do::Close => WalletCommand::Close,
        Do::Post { amount, adjustment, asset } => {
            part(id(99), asset, Step::Post { amount: cents(amount), effective_at: Some(at(1)), adjustment })
        }
        Do::Hold { transaction, out, incoming, expires } => {
            let (outgoing, incoming, expires_at) = (cents(out), cents(incoming), expires.map(at));
            part(id(transaction), "USD", Step::Hold { outgoing, incoming, expires_at })
        }
        Do::Settle { transaction, amount, out, incoming, expires } => {
            let (outgoing, incoming, expires_at) = (cents(out), cents(incoming), expires.map(at));
            let (amount, effective_at) = (cents(amount), None);
            part(
                id(transaction),
                "USD",
                Step::Settle { amount, outgoing, incoming, effective_at, expires_at },
            )
        }
        Do::Release { transaction, out, incoming, expires } => {
            let (outgoing, incoming, expires_at) = (cents(out), cents(incoming), expires.map(at));
            part(id(transaction), "USD", Step::Release { outgoing, incoming, expires_at })
        }
        Do::Expire { transaction, out, incoming, expires } => {
            let (outgoing, incoming, expires_at) = (cents(out), cents(incoming), expires.map(at));
            part(id(transaction), "USD", Step::Expire { outgoing, incoming, expires_at })
        }
        Do::Reverse { amount } => {
            part(id(99), "USD", Step::Reverse { amount: cents(amount), effective_at: None })
        }
    }
}

#[derive(Debug, Default)]
struct Model {
    status: &'static str,
    minimum: Option<i64>,
    posted: i64,
    held: i64,
    incoming: i64,
    /// When which hold expires.
    due: Vec<(i64, u8)>,
}

impl Model {
    fn expected(&mut self, command: &Do) -> Result<(), &'static str> {
        if let Do::Open { minimum } = *command {
            if !self.status.is_empty() {
                return Err("wallet_exists");
            }
            *self = Self { status: "open", minimum, ..Self::default() };
            return Ok(());
        }
        match self.status {
            "" => return Err("wallet_not_found"),
            "closed" => return Err("wallet_closed"),
            _ => {}
        }
        let new = matches!(
            command,
            Do::Post { adjustment: false, .. } | Do::Hold { .. } | Do::Reverse { .. } | Do::Freeze
        );
        if self.status == "frozen" && new {
            return Err("wallet_frozen");
        }
        if matches!(command, Do::Post { asset: "EUR", .. }) {
            return Err("asset_mismatch");
        }
        match *command {
            Do::Open { .. } => {}
            Do::Freeze => self.status = "frozen",
            Do::Unfreeze if self.status == "open" => return Err("wallet_not_frozen"),
            Do::Unfreeze => self.status = "open",
            Do::Close if (self.posted, self.held, self.incoming) != (0, 0, 0) => {
                return Err("wallet_not_empty");
            }
            Do::Close => self.status = "closed",
            Do::Post { amount, .. } | Do::Reverse { amount } => {
                self.enough(-amount)?;
                self.posted += amount;
            }
            Do::Hold { transaction, out, incoming, expires } => {
                self.enough(out)?;
                self.held += out;
                self.incoming += incoming;
                self.due.extend(expires.filter(|_| out > 0).map(|expires| (expires, transaction)));
                self.due.sort_unstable();
                self.due.dedup();
            }
            Do::Settle { transaction, amount, out, incoming, expires } => {
                self.give_back(transaction, out, incoming, expires)?;
                self.posted += amount;
            }
            Do::Release { transaction, out, incoming, expires }
            | Do::Expire { transaction, out, incoming, expires } => {
                self.give_back(transaction, out, incoming, expires)?;
            }
        }
        Ok(())
    }

    fn available(&self) -> i64 {
        self.posted - self.held - self.minimum.unwrap_or(0)
    }

    fn enough(&self, needed: i64) -> Result<(), &'static str> {
        let short = self.minimum.is_some() && needed > 0 && self.available() < needed;
        if short { Err("insufficient_funds") } else { Ok(()) }
    }

    fn give_back(
        &mut self,
        transaction: u8,
        out: i64,
        incoming: i64,
        expires: Option<i64>,
    ) -> Result<(), &'static str> {
        if out > self.held || incoming > self.incoming {
            return Err("hold_missing");
        }
        self.held -= out;
        self.incoming -= incoming;
        self.due.retain(|one| Some(*one) != expires.map(|expires| (expires, transaction)));
        Ok(())
    }
}

#[test]
fn a_wallet_decides_as_its_model_does_and_replays() {
    proptest!(config(256), |(commands in commands())| {
        let (mut model, mut live, mut kept) = (Model::default(), Wallet::default(), Vec::new());
        for command in &commands {
            let decision = decided(live.decide(real(command)), WalletRejection::code, &mut kept);
            prop_assert_eq!(decision.as_ref().map(|_| ()).map_err(|code| *code), model.expected(command), "{:?}", command);
            if let Ok(happened) = decision {
                live.apply(happened);
            }
            if !live.exists() {
                continue;
            }
            let balance = live.balance;
            prop_assert_eq!((balance.posted, balance.held), (cents(model.posted), cents(model.held)));
            prop_assert_eq!((balance.incoming, live.available()), (cents(model.incoming), Ok(cents(model.available()))));
            prop_assert_eq!(format!("{:?}", live.status).to_lowercase(), model.status);
            for now in [9, 10, 19, 20] {
                let due: Vec<_> = live.due(at(now)).map(|id| id.0.as_u128()).collect();
                let wanted: Vec<_> = model.due.iter().filter(|(at, _)| *at <= now).map(|(_, id)| u128::from(*id)).collect();
                prop_assert_eq!(due, wanted);
            }
        }
        assert_replays(&kept, &live);
    });
}

/// An amount that is near an edge of what can be counted, or not.
fn extreme() -> impl Strategy<Value = i128> {
    prop_oneof![2 => 0..1_000_i128, 1 => Just(i128::MAX), 2 => 0..=i128::MAX, 1 => i128::MAX - 1_000..=i128::MAX]
}

#[test]
fn what_is_held_can_be_settled_however_near_the_edge_of_all_numbers() {
    let minor = |minor| Amount::from_minor(minor, Scale::new(2).unwrap());
    let step = |transaction: usize, step| {
        WalletCommand::Move(Movement {
            transaction_id: TransactionId(Uuid::from_u128(transaction.try_into().unwrap())),
            path: WalletPath::new("@revenue").unwrap(),
            asset: AssetCode::new("USD").unwrap(),
            step,
        })
    };
    let steps = prop::collection::vec((0..3_u8, extreme(), 0..=100_u8), 1..20);
    let settled = Cell::new(0);
    proptest!(config(256), |(steps in steps)| {
        let mut wallet = Wallet::default();
        let open = WalletCommand::Open {
            path: WalletPath::new("@revenue").unwrap(),
            asset: AssetCode::new("USD").unwrap(),
            scale: Scale::new(2).unwrap(),
            minimum: None,
            metadata: Metadata::default(),
        };
        wallet.apply(wallet.decide(open).unwrap());
        let mut holds = Vec::new();
        let none = minor(0);
        for (at, (kind, size, share)) in steps.into_iter().enumerate() {
            let sign = if share % 2 == 0 { 1 } else { -1 };
            let (outgoing, incoming) = if sign > 0 { (none, minor(size)) } else { (minor(size), none) };
            let wanted = match kind {
                0 => Step::Post { amount: minor(sign * size), effective_at: None, adjustment: false },
                _ => Step::Hold { outgoing, incoming, expires_at: None },
            };
            match wallet.decide(step(at, wanted)) {
                Ok(happened) => {
                    wallet.apply(happened);
                    if kind > 0 {
                        let part = size / 100 * i128::from(share) + size % 100 * i128::from(share) / 100;
                        holds.push((at, minor(sign * part), outgoing, incoming));
                    }
                }
                Err(refused) => prop_assert_eq!(refused.code(), "balance_overflow"),
            }
        }
        for (at, amount, outgoing, incoming) in holds {
            let settle = Step::Settle { amount, outgoing, incoming, effective_at: None, expires_at: None };
            let decided = wallet.decide(step(at, settle));
            prop_assert!(decided.is_ok(), "{:?}", decided);
            wallet.apply(decided.unwrap());
            settled.set(settled.get() + 1);
        }
    });
    assert!(settled.get() > 100, "{settled:?}");
}
