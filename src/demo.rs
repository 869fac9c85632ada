//! Plausible traffic for a first look: customers who top up and use a metered service for a minute.

use std::sync::Arc;
use std::time::Duration;

use commands::{
    Command, Context, Failure, IdempotencyKey, Outcome, Pipeline, Request, Resource, TransactionRequest,
};
use domain::transaction::Posting;
use domain::{
    Amount, AssetCode, Clock, Ids, Metadata, NameError, Scale, Slug, TenantId, TransactionId, WalletPath,
};
use tokio_util::sync::CancellationToken;

/// How long it lasts, in steps of [`PAUSE`].
const STEPS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);
const CUSTOMERS: u128 = 12;
/// Digits of US dollars, enough for the price of one token.
const DIGITS: u8 = 9;

/// The demonstration in the tenant called `slug`.
pub struct Demo {
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    tenant: TenantId,
    usd: AssetCode,
    scale: Scale,
}

/// Why the demonstration ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A name in this file is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A number in this file is wrong.
    #[error(transparent)]
    Money(#[from] domain::MoneyError),
    /// The ledger does not take a command.
    #[error(transparent)]
    Command(#[from] Failure),
}

impl Demo {
    /// Prepares the demonstration; nothing happens yet.
    ///
    /// # Errors
    /// [`DemoError::Name`], [`DemoError::Money`]: never with the names in this file.
    pub fn new(
        pipeline: Pipeline,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        slug: &Slug,
    ) -> Result<Self, DemoError> {
        let (usd, scale) = (AssetCode::new("USD")?, Scale::new(DIGITS)?);
        Ok(Self { pipeline, clock, ids, tenant: TenantId::of(slug), usd, scale })
    }

    /// Funds the customers. Done once, however often it is asked for.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn prepare(&self) -> Result<(), DemoError> {
        let register = Command::RegisterAsset { code: self.usd.clone(), scale: self.scale };
        match self.submit(register, None).await {
            // A second start finds its asset again.
            Err(Failure::Rejected(rejection)) if rejection.code() == "asset_exists" => {}
            registered => registered.map(drop)?,
        }
        for customer in 0..CUSTOMERS {
            let top_up = self.transfer("@world", &wallet(customer), 50_000_000_000)?;
            self.submit(Command::Transact(top_up), Some(format!("demo-welcome-{customer}"))).await?;
        }
        Ok(())
    }

    /// Lets the customers use the service until the minute is over or `stop`.
    ///
    /// # Errors
    /// [`DemoError`]; a customer who runs out of money is no error.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), DemoError> {
        for step in 0..STEPS {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.step(step).await?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        Ok(())
    }

    /// One call of the service: a hold for the most it could cost, then what became of it.
    async fn step(&self, step: u32) -> Result<(), DemoError> {
        // The random bits of an id serve as dice.
        let dice = self.ids.next().as_u128();
        let customer = wallet(dice % CUSTOMERS);
        let most = i128::try_from(dice % 900_000_000).unwrap_or_default() + 100_000_000;
        let hold = TransactionRequest {
            pending: true,
            expires_at: Some(self.clock.now() + chrono::TimeDelta::seconds(30)),
            ..self.transfer(&customer, "@revenue", most)?
        };
        let held = match self.submit(Command::Transact(hold), None).await {
            Err(Failure::Rejected(rejection)) if rejection.code() == "insufficient_funds" => {
                let top_up = self.transfer("@world", &customer, 20_000_000_000)?;
                self.submit(Command::Transact(top_up), None).await?;
                return Ok(());
            }
            held => held?,
        };
        let Some(id) = transaction(&held) else { return Ok(()) };
        let cost = Amount::from_minor(most * 2 / 3, self.scale);
        let settle = Command::Settle { id, amounts: Some(vec![cost]) };
        match step % 20 {
            // Given up by the caller.
            7 => self.submit(Command::Release { id }, None).await.map(drop)?,
            // Forgotten by the caller: it will expire.
            13 => {}
            // Paid, and half of it given back for a poor answer.
            19 => {
                self.submit(settle, None).await?;
                let half = Amount::from_minor(most / 3, self.scale);
                self.submit(Command::Reverse { id, amounts: Some(vec![half]) }, None).await?;
            }
            _ => self.submit(settle, None).await.map(drop)?,
        }
        Ok(())
    }

    fn transfer(&self, from: &str, to: &str, minor: i128) -> Result<TransactionRequest, DemoError> {
        Ok(TransactionRequest {
            postings: vec![Posting {
                from: WalletPath::new(from)?,
                to: WalletPath::new(to)?,
                amount: Amount::from_minor(minor, self.scale),
                asset: self.usd.clone(),
            }],
            metadata: Metadata::default(),
            open_wallets: true,
            ..TransactionRequest::default()
        })
    }

    async fn submit(&self, command: Command, key: Option<String>) -> Result<Outcome, Failure> {
        let key = key.map(|key| IdempotencyKey { fingerprint: key.clone().into_bytes(), key });
        let context = Context::system("demo");
        self.pipeline.submit(Request { tenant: self.tenant, command, context, key }).await
    }
}

fn wallet(customer: u128) -> String {
    format!("customers:{}:credits", customer + 1)
}

fn transaction(outcome: &Outcome) -> Option<TransactionId> {
    match &outcome.resource {
        Resource::Transactions(made) => made.first().map(|(id, _)| *id),
        _ => None,
    }
}
