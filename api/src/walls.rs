//! What stands between the world and the routes: how often somebody may ask, how much a request may hold, which other
//! sites may ask in a browser, and what a browser is told about every answer.

mod cors;
mod guard;
mod headers;
mod origin;
mod rate;
mod refused;
mod sign_in;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::{HttpMessage as _, HttpRequest};
use domain::{KeyId, Network, UserId};

pub use cors::cors;
pub use guard::guard;
pub use headers::harden;
pub use rate::{Gate, Standing};

use crate::problem::{Problem, code};
use origin::{Place, client_address};
use refused::Refusals;
use sign_in::SignIns;

/// How often: `burst` requests at once, and one more after each `every`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many at once.
    pub burst: NonZeroU32,
    /// How long until there is room for one more.
    pub every: Duration,
}

/// How the walls are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WallSettings {
    /// How often one key may ask; `None`: as often as it likes.
    pub key: Option<Pace>,
    /// How often one user may ask.
    pub user: Option<Pace>,
    /// How often one address may ask with credentials that are refused.
    pub address: Option<Pace>,
    /// How often one address may ask without a credential.
    pub anonymous: Option<Pace>,
    /// How often one address may try to sign in, to sign up, or to have mail sent; how often all addresses together may
    /// do so for one account; and how often somebody who is signed in may try to show once more who they are.
    pub sign_in: Option<Pace>,
    /// How often mail may be sent to one address because somebody who is not signed in asked for it.
    pub mail: Option<Pace>,
    /// The most bytes of a request's headers.
    pub header_bytes: usize,
    /// The most bytes of a request's path and query.
    pub query_bytes: usize,
    /// The sites that may ask in a browser: `https://app.example.com`.
    pub cors_origins: Vec<String>,
    /// Who may say on whose behalf they ask, by `X-Forwarded-For`.
    pub trusted_proxies: Vec<Network>,
    /// The name under which tenants have their subdomains.
    pub domain: Option<String>,
    /// Whether callers come by TLS, so that browsers may be told to insist on it.
    pub tls: bool,
}

/// The walls.
#[derive(Debug)]
pub struct Walls {
    keys: Option<Gate<KeyId>>,
    users: Option<Gate<UserId>>,
    refusals: Option<Refusals>,
    anonymous: Option<Gate<Place>>,
    sign_ins: Option<SignIns>,
    letters: Option<Gate<[u8; 32]>>,
    settings: WallSettings,
}

impl Walls {
    /// Builds them.
    pub fn new(settings: WallSettings) -> Self {
        Self {
            keys: settings.key.map(Gate::new),
            users: settings.user.map(Gate::new),
            refusals: settings.address.map(Refusals::new),
            anonymous: settings.anonymous.map(Gate::new),
            sign_ins: settings.sign_in.map(SignIns::new),
            letters: settings.mail.map(Gate::new),
            settings,
        }
    }

    /// How they are.
    pub fn settings(&self) -> &WallSettings {
        &self.settings
    }

    /// Counts a request of a program.
    pub fn pass_key(&self, request: &HttpRequest, key: KeyId) -> Result<(), Problem> {
        self.keys.as_ref().map_or(Ok(()), |gate| judge(request, gate.pass(&key)))
    }

    /// Counts a request of a user.
    pub fn pass_user(&self, request: &HttpRequest, user: UserId) -> Result<(), Problem> {
        self.users.as_ref().map_or(Ok(()), |gate| judge(request, gate.pass(&user)))
    }

    /// Counts a request that shows no credential.
    pub fn pass_anonymous(&self, request: &HttpRequest) -> Result<(), Problem> {
        self.anonymous.as_ref().map_or(Ok(()), |gate| judge(request, gate.pass(&self.place(request))))
    }

    /// Counts a request whose credential was refused.
    pub fn pass_stranger(&self, request: &HttpRequest) -> Result<(), Problem> {
        self.refusals.as_ref().map_or(Ok(()), |count| judge(request, count.count(self.place(request))))
    }

    /// Refuses a request from where too many credentials were refused. To be asked before one is looked up.
    pub fn admit_stranger(&self, request: &HttpRequest) -> Result<(), Problem> {
        let held = self.refusals.as_ref().and_then(|refusals| refusals.held(self.place(request)));
        held.map_or(Ok(()), |standing| judge(request, standing))
    }

    /// Counts a request that tries to get in, by where it comes from.
    pub fn pass_sign_in(&self, request: &HttpRequest) -> Result<(), Problem> {
        self.sign_ins.as_ref().map_or(Ok(()), |gates| judge(request, gates.pass_place(self.place(request))))
    }

    /// Counts an attempt on one account, wherever it comes from. `account` is the blind index of its email, whether
    /// there is such an account or not.
    pub fn pass_account(&self, request: &HttpRequest, account: &[u8; 32]) -> Result<(), Problem> {
        let gates = self.sign_ins.as_ref();
        gates.map_or(Ok(()), |gates| judge(request, gates.pass_account(account, self.place(request))))
    }

    /// Counts an attempt of somebody who is signed in to show once more who they are.
    pub fn pass_proof(&self, request: &HttpRequest, user: UserId) -> Result<(), Problem> {
        self.sign_ins.as_ref().map_or(Ok(()), |gates| judge(request, gates.pass_proof(user)))
    }

    /// Counts a request that may send mail to the address of this blind index, whether it has an account or not.
    pub fn pass_letter(&self, request: &HttpRequest, address: &[u8; 32]) -> Result<(), Problem> {
        self.letters.as_ref().map_or(Ok(()), |gate| judge(request, gate.pass(address)))
    }

    /// Remembers that the owner of an account got in from where this request comes from.
    pub fn welcome(&self, request: &HttpRequest, account: &[u8; 32]) {
        if let Some(gates) = &self.sign_ins {
            gates.welcome(account, self.place(request));
        }
    }

    /// Forgets those whose rates are as if they had never asked. To be called every second or so.
    pub fn upkeep(&self) {
        if let Some(gate) = &self.keys {
            gate.upkeep();
        }
        if let Some(gate) = &self.users {
            gate.upkeep();
        }
        if let Some(refusals) = &self.refusals {
            refusals.upkeep();
        }
        if let Some(gate) = &self.anonymous {
            gate.upkeep();
        }
        if let Some(gates) = &self.sign_ins {
            gates.upkeep();
        }
        if let Some(gate) = &self.letters {
            gate.upkeep();
        }
    }

    /// Where a request comes from.
    pub fn client_address(&self, request: &HttpRequest) -> IpAddr {
        client_address(request, &self.settings.trusted_proxies)
    }

    fn place(&self, request: &HttpRequest) -> Place {
        Place::of(self.client_address(request))
    }
}

/// Lets a request through or not. How it stands is kept for the answer's headers; where several gates are passed, the one
/// with the least room left.
fn judge(request: &HttpRequest, standing: Standing) -> Result<(), Problem> {
    let mut extensions = request.extensions_mut();
    let before = extensions.get::<Standing>().copied();
    extensions.insert(before.map_or(standing, |before| before.tighter(standing)));
    match standing.wait {
        None => Ok(()),
        Some(wait) => {
            metrics::counter!("counterfoil_http_rate_limited_total").increment(1);
            let seconds = rate::whole_seconds(wait);
            let detail = format!("too many requests; the next one is answered in {seconds} s");
            Err(Problem::new(code::RATE_LIMITED, detail).retry(seconds))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// No walls but those of size.
    pub fn settings() -> WallSettings {
        WallSettings {
            key: None,
            user: None,
            address: None,
            anonymous: None,
            sign_in: None,
            mail: None,
            header_bytes: 16 * 1024,
            query_bytes: 8 * 1024,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            domain: None,
            tls: false,
        }
    }
}
