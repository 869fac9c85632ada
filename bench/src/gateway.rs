//! Calls of a model through the gateway, beside the same calls made directly.
//!
//! The provider is a process of ours that answers at once, or after a time that is always the same ([`provider`]). The
//! same load generator calls it directly and through the gateway, in turn, from the same number of connections. What
//! the gateway does is complete: the caller's key is checked, a policy decides, the call is held for under a hard limit
//! before the provider hears of it, and its end is settled before the caller sees the end of the answer. Both are
//! commits that are flushed to the disk.
//!
//! After every turn through the gateway the read models catch up, so that direct calls do not share the machine with
//! what is left of the others. At the end of the round the books are checked ([`books`]).

mod books;
mod provider;
mod shop;
pub mod wire;

use hdrhistogram::Histogram;

use self::provider::Provider;
pub use self::provider::provide;
use self::shop::Shop;
use crate::load::{self, CREDENTIAL, Chat, Plan, Side, Target, What};
use crate::measure::{Case, Failure, Sample};
use crate::report::Report;
use crate::world::{Extent, World};

/// How the names of this part's cases begin.
pub const PART: &str = "gateway";
/// The connections of the cases at a fixed load.
pub const PACED: usize = 64;
/// For how long the provider thinks where it thinks, in milliseconds.
const THINK: u64 = 20;
/// The part of what the gateway manages that a fixed load is, as one in so many.
const PART_OF_LOAD: u64 = 2;

/// Calls that are made in both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// As streams.
    pub streamed: bool,
    /// How long the provider thinks.
    pub think_ms: u64,
    /// By how many connections.
    pub connections: usize,
    /// At fixed times, half as many as the gateway manages.
    pub paced: bool,
}

impl Setup {
    /// The case of a side; with `first`, what counts is when an answer begins.
    pub fn case(self, side: Side, first: bool) -> Case {
        let shape = if self.streamed { "streamed" } else { "whole" };
        let load = if self.paced { ", half load" } else { "" };
        let first = if first { ", first byte" } else { "" };
        let name = format!("{shape}, {} ms{load}{first}: {}", self.think_ms, side.name());
        Case::new(PART, name, self.connections)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [false, true].into_iter().flat_map(|streamed| {
            let closed = [0, THINK].into_iter().flat_map(move |think_ms| {
                [1, 16, 64].map(|connections| Self { streamed, think_ms, connections, paced: false })
            });
            closed.chain([Self { streamed, think_ms: THINK, connections: PACED, paced: true }])
        })
    }

    /// Whether it is done in a quick run too.
    fn is_quick(self) -> bool {
        self.paced || (self.think_ms == 0 && self.connections != 16)
    }
}

/// One round.
///
/// # Errors
/// What the servers say, an answer that is not whole, or books that are not right.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let provider = Provider::start().await?;
    let shop = Shop::open(world, &format!("gateway_{number}"), &provider, &[0, THINK]).await?;
    let direct = Target { address: provider.address, token: CREDENTIAL.to_owned(), wallets: 0 };
    let mut round = Round { world, shop, direct, answered: 0, managed: 0.0 };
    let quick = world.extent == Extent::Quick;
    for setup in Setup::all().filter(|setup| !quick || setup.is_quick()) {
        round.beside(setup, report).await?;
    }
    books::close(round.shop, provider, world, round.answered).await
}

struct Round<'a> {
    world: &'a World,
    shop: Shop,
    direct: Target,
    /// Calls through the gateway that have an answer.
    answered: u64,
    /// Calls a second that the gateway managed from the connections of the fixed load.
    managed: f64,
}

impl Round<'_> {
    /// Both ways, in turn: direct, gateway, gateway, direct, so that a machine that becomes slower does so for both.
    async fn beside(&mut self, setup: Setup, report: &mut Report) -> Result<(), Failure> {
        let sides = if self.world.extent == Extent::Quick {
            vec![Side::Direct, Side::Gateway]
        } else {
            vec![Side::Direct, Side::Gateway, Side::Gateway, Side::Direct]
        };
        let rate = setup.paced.then(|| whole_number(self.managed) / PART_OF_LOAD);
        let mut all: [Option<Turns>; 2] = [None, None];
        for side in sides {
            let outcome = self.turn(setup, side, rate).await?;
            let [direct, gateway] = &mut all;
            let turns = if side == Side::Direct { direct } else { gateway };
            Turns::add(turns, outcome)?;
        }
        for (turns, side) in all.into_iter().zip([Side::Direct, Side::Gateway]) {
            let turns = turns.ok_or("a side had no turn")?;
            if side == Side::Gateway && !setup.paced && setup.connections == PACED {
                self.managed = turns.per_second();
            }
            turns.report(setup, side, report);
        }
        Ok(())
    }

    async fn turn(&mut self, setup: Setup, side: Side, rate: Option<u64>) -> Result<load::Outcome, Failure> {
        let chat = Chat { side, streamed: setup.streamed, think_ms: setup.think_ms };
        // One caller makes few calls.
        let seconds = if setup.connections == 1 && self.world.extent != Extent::Quick { 2 } else { 1 };
        let plan = Plan { what: What::Calls(chat), connections: setup.connections, seconds, rate };
        self.world.settle().await?;
        let target = if side == Side::Direct { &self.direct } else { &self.shop.gateway };
        let outcome = load::run(target, setup.case(side, false), plan).await?;
        if side == Side::Gateway {
            self.answered += outcome.acknowledged;
            self.shop.server.catch_up().await?;
        }
        Ok(outcome)
    }
}

/// The turns of one side, which are of the same length.
struct Turns {
    rates: Vec<f64>,
    whole: Histogram<u64>,
    first: Histogram<u64>,
}

impl Turns {
    fn add(turns: &mut Option<Self>, outcome: load::Outcome) -> Result<(), Failure> {
        let load::Outcome { sample, first, .. } = outcome;
        match turns {
            None => *turns = Some(Self { rates: vec![sample.per_second], whole: sample.latencies, first }),
            Some(turns) => {
                turns.rates.push(sample.per_second);
                turns.whole.add(sample.latencies)?;
                turns.first.add(first)?;
            }
        }
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.rates.iter().sum::<f64>() / crate::measure::real(self.rates.len().max(1) as u64)
    }

    fn report(self, setup: Setup, side: Side, report: &mut Report) {
        let per_second = self.per_second();
        let sample =
            |first, latencies| Sample { case: setup.case(side, first), unit: "calls", per_second, latencies };
        report.add(sample(false, self.whole));
        if setup.streamed {
            report.add(sample(true, self.first));
        }
    }
}

/// Without what follows the point.
fn whole_number(rate: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is small and not negative"
    )]
    let whole = rate as u64;
    whole
}
