//! The requests of one connection, one after another, as they go over the wire.

mod chat;

use std::io::Write as _;

use memchr::memmem;

pub use self::chat::{CREDENTIAL, Chat, Side, WALLET};
use super::connection::Answer;
use super::{Job, What};
use crate::bank::scattered;
use crate::measure::Failure;

/// What was just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// One transfer.
    Transfer,
    /// So many transfers.
    Bulk(u64),
    /// A question for a balance.
    Balance,
    /// A call of a model.
    Call(Chat),
}

impl Sent {
    /// How many units it is.
    pub fn units(self) -> u64 {
        match self {
            Self::Transfer | Self::Balance | Self::Call(_) => 1,
            Self::Bulk(transfers) => transfers,
        }
    }

    /// Whether it matters when its answer begins.
    pub fn begins(self) -> bool {
        matches!(self, Self::Call(_))
    }

    /// How many transactions the ledger holds more when it is answered, or calls.
    pub fn acknowledged(self) -> u64 {
        match self {
            Self::Transfer | Self::Call(_) => 1,
            Self::Balance => 0,
            Self::Bulk(transfers) => transfers,
        }
    }

    /// Whether all of it was done.
    pub fn check(self, answer: &Answer<'_>) -> Result<(), Failure> {
        let done = match self {
            Self::Transfer => answer.status == 201,
            Self::Balance => answer.status == 200,
            Self::Bulk(transfers) => {
                let made = memmem::find_iter(answer.body, br#""status":201"#).count();
                answer.status == 200 && made as u64 == transfers
            }
            Self::Call(chat) => answer.status == 200 && chat.is_whole(answer.body),
        };
        if done {
            return Ok(());
        }
        let start = answer.body.get(..500).unwrap_or(answer.body);
        Err(format!("{self:?} was answered {}: {}", answer.status, String::from_utf8_lossy(start)).into())
    }
}

/// Writes requests.
pub struct Requests {
    what: What,
    wallets: u64,
    connection: u64,
    turn: u64,
    /// Everything of a request's head that stays the same.
    constant: String,
    run: String,
    body: Vec<u8>,
    text: Vec<u8>,
}

impl Requests {
    /// Of connection number `connection`.
    pub fn new(job: &Job, connection: u64) -> Self {
        let constant =
            format!("Host: {}\r\nAuthorization: Bearer {}\r\n", job.target.address, job.target.token);
        Self {
            what: job.plan.what,
            wallets: job.target.wallets,
            connection,
            turn: 0,
            constant,
            run: job.run.clone(),
            body: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Writes the next one.
    pub fn write_next(&mut self) -> Result<(Sent, &[u8]), Failure> {
        self.turn += 1;
        self.body.clear();
        self.text.clear();
        let sent = match self.what {
            What::HotTransfers => self.transfer(true)?,
            What::Bulk(transfers) => self.bulk(transfers)?,
            // Begun at another place by each connection, so that writes are spread evenly.
            What::Mixed if !(self.turn + self.connection).is_multiple_of(10) => self.balance()?,
            What::Balances => self.balance()?,
            What::Mixed | What::Transfers => self.transfer(false)?,
            What::Calls(chat) => self.call(chat)?,
        };
        Ok((sent, &self.text))
    }

    /// The numbers of two wallets.
    fn pair(&self, number: u64, hot: bool) -> (u64, u64) {
        let seed = scattered(self.connection << 48 | self.turn << 12 | number);
        let from = if hot { 0 } else { seed % self.wallets };
        (from, (from + 1 + (seed >> 32) % (self.wallets - 1)) % self.wallets)
    }

    fn transaction(&mut self, number: u64, hot: bool) -> Result<(), Failure> {
        let (from, to) = self.pair(number, hot);
        write!(
            self.body,
            r#"{{"postings":[{{"from":"customers:{from}","to":"customers:{to}","amount":"1","asset":"USD"}}]}}"#
        )?;
        Ok(())
    }

    fn transfer(&mut self, hot: bool) -> Result<Sent, Failure> {
        self.transaction(0, hot)?;
        self.post("/v1/transactions")?;
        Ok(Sent::Transfer)
    }

    fn bulk(&mut self, transfers: u64) -> Result<Sent, Failure> {
        self.body.extend_from_slice(br#"{"atomic":false,"transactions":["#);
        for number in 0..transfers {
            if number > 0 {
                self.body.push(b',');
            }
            self.transaction(number, false)?;
        }
        self.body.extend_from_slice(b"]}");
        self.post("/v1/transactions/batch")?;
        Ok(Sent::Bulk(transfers))
    }

    fn post(&mut self, path: &str) -> Result<(), Failure> {
        write!(
            self.text,
            "POST {path} HTTP/1.1\r\n{}Idempotency-Key: {}-{}-{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.constant,
            self.run,
            self.connection,
            self.turn,
            self.body.len()
        )?;
        self.text.extend_from_slice(&self.body);
        Ok(())
    }

    /// Without an idempotency key, as SDKs call.
    fn call(&mut self, chat: Chat) -> Result<Sent, Failure> {
        chat.write_body(&mut self.body)?;
        write!(
            self.text,
            "POST {} HTTP/1.1\r\n{}Counterfoil-Wallet: {WALLET}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            chat.side.path(),
            self.constant,
            self.body.len()
        )?;
        self.text.extend_from_slice(&self.body);
        Ok(Sent::Call(chat))
    }

    fn balance(&mut self) -> Result<Sent, Failure> {
        let (wallet, _) = self.pair(0, false);
        write!(self.text, "GET /v1/wallets/customers:{wallet}/balance HTTP/1.1\r\n{}\r\n", self.constant)?;
        Ok(Sent::Balance)
    }
}
