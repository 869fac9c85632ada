//! What is asked of the ledger: small numbers and short names, so that a failing sequence can be read.

use proptest::prelude::*;

/// The wallets by number: a tenant's own, then ordinary ones; each is mostly used with one asset.
pub const WALLETS: [(&str, Asset); 8] = [
    ("@world", Asset::Usd),
    ("@mint", Asset::Tok),
    ("@fees", Asset::Usd),
    ("a", Asset::Usd),
    ("b", Asset::Usd),
    ("c", Asset::Usd),
    ("t", Asset::Tok),
    ("u", Asset::Tok),
];

/// A wallet by its path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Wallet(pub usize);

impl Wallet {
    pub fn path(self) -> &'static str {
        WALLETS[self.0].0
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// Two digits behind the point.
    Usd,
    /// Three.
    Tok,
    /// Not registered.
    None,
}

/// Minor units from one wallet to another.
#[derive(Clone, PartialEq, Eq)]
pub struct Posting {
    pub from: Wallet,
    pub to: Wallet,
    pub amount: i64,
    pub asset: Asset,
}

impl std::fmt::Debug for Posting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}->{:?} {} {:?}", self.from, self.to, self.amount, self.asset)
    }
}

/// A transaction to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    pub postings: Vec<Posting>,
    pub hold: bool,
    /// Seconds from now.
    pub expires: Option<i64>,
    pub reference: Option<u8>,
    pub adjustment: bool,
    pub open: bool,
}

/// A command. Transactions are named by their references, so that those of the same batch can be named too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    Open(Wallet, Asset, Option<i64>),
    Freeze(Wallet),
    Unfreeze(Wallet),
    Close(Wallet),
    Make(Make),
    Batch(Vec<Make>),
    /// Amounts in hundredths, whatever the asset.
    Settle(u8, Option<Vec<i64>>),
    Release(u8),
    Expire(u8),
    Reverse(u8, Option<Vec<i64>>),
}

/// A command with its idempotency key.
#[derive(Clone)]
pub struct Request {
    pub what: Do,
    pub key: Option<u8>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key {
            Some(key) => write!(f, "key {key}: {:?}", self.what),
            None => self.what.fmt(f),
        }
    }
}

/// Requests between two moves of the clock, in jobs that were handed over together.
#[derive(Debug, Clone)]
pub struct Segment {
    /// By how many seconds the clock is turned first.
    pub clock: i64,
    pub jobs: Vec<Vec<Request>>,
}

fn wallet() -> impl Strategy<Value = Wallet> {
    (0..WALLETS.len()).prop_map(Wallet)
}

fn posting() -> impl Strategy<Value = Posting> {
    let amount = prop_oneof![1 => -1..1_i64, 6 => 1..40_i64, 3 => 40..400_i64];
    (wallet(), wallet(), amount, prop::bool::weighted(0.9), 0..40_u8).prop_map(
        |(from, to, amount, fits, other)| {
            let asset = match other {
                0 => Asset::None,
                1 => Asset::Tok,
                2 => Asset::Usd,
                _ => WALLETS[from.0].1,
            };
            // Mostly to a wallet of the same asset that is another one.
            let suited = (0..WALLETS.len()).map(|step| (to.0 + step) % WALLETS.len());
            let suited = suited.into_iter().find(|to| *to != from.0 && WALLETS[*to].1 == asset);
            Posting { from, to: suited.filter(|_| fits).map_or(to, Wallet), amount, asset }
        },
    )
}

fn make() -> impl Strategy<Value = Make> {
    let postings = prop_oneof![
        1 => Just(0..1_usize),
        12 => Just(1..2),
        6 => Just(2..4),
    ]
    .prop_flat_map(|count| prop::collection::vec(posting(), count));
    let expires = prop::option::weighted(0.5, prop_oneof![1 => -1..1_i64, 9 => 1..15_i64]);
    let reference = prop::option::weighted(0.7, 0..8_u8);
    (
        postings,
        prop::bool::weighted(0.5),
        expires,
        reference,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(postings, hold, expires, reference, adjustment, open)| {
            // Now and then with an expiry that a posting cannot have.
            let expires = expires.filter(|at| hold || *at == 7);
            Make { postings, hold, expires, reference, adjustment, open }
        })
}

fn amounts() -> impl Strategy<Value = Option<Vec<i64>>> {
    let amount = prop_oneof![1 => -1..0_i64, 4 => Just(0), 20 => 1..60_i64];
    prop::option::weighted(
        0.6,
        prop_oneof![3 => prop::collection::vec(amount.clone(), 1), 2 => prop::collection::vec(amount, 0..4)],
    )
}

fn command() -> impl Strategy<Value = Do> {
    let minimum = prop::option::weighted(0.5, -50..20_i64);
    let reference = || 0..8_u8;
    prop_oneof![
        2 => (wallet(), minimum).prop_map(|(wallet, minimum)| Do::Open(wallet, WALLETS[wallet.0].1, minimum)),
        1 => wallet().prop_map(Do::Freeze),
        2 => wallet().prop_map(Do::Unfreeze),
        1 => wallet().prop_map(Do::Close),
        16 => make().prop_map(Do::Make),
        3 => prop::collection::vec(make(), 1..4).prop_map(Do::Batch),
        4 => (reference(), amounts()).prop_map(|(reference, amounts)| Do::Settle(reference, amounts)),
        1 => reference().prop_map(Do::Release),
        1 => reference().prop_map(Do::Expire),
        4 => (reference(), amounts()).prop_map(|(reference, amounts)| Do::Reverse(reference, amounts)),
    ]
}

/// Money for everybody, so that less is refused.
fn funding() -> Segment {
    let fund = |from: usize, to: usize| {
        let (from, to, asset) = (Wallet(from), Wallet(to), WALLETS[to].1);
        let postings = vec![Posting { from, to, amount: 300, asset }];
        let what = Do::Make(Make {
            postings,
            hold: false,
            expires: None,
            reference: None,
            adjustment: false,
            open: true,
        });
        vec![Request { what, key: None }]
    };
    Segment { clock: 0, jobs: vec![fund(0, 3), fund(0, 4), fund(1, 6)] }
}

/// Segments of jobs, the first with some money. A key is mostly used again for the same command.
pub fn sequences() -> impl Strategy<Value = Vec<Segment>> {
    let request = (command(), prop::option::weighted(0.4, 0..5_u8), prop::bool::weighted(0.7)).boxed();
    let job = prop_oneof![3 => Just(1..2_usize), 1 => Just(2..5)]
        .prop_flat_map(move |count| prop::collection::vec(request.clone(), count));
    let clock = prop_oneof![5 => 0..12_i64, 1 => -30..0_i64];
    let segment = (clock, prop::collection::vec(job, 1..9));
    prop::collection::vec(segment, 1..5).prop_map(|segments| {
        let mut used: Vec<(u8, Do)> = Vec::new();
        let mut keyed = |(what, key, again): (Do, Option<u8>, bool)| {
            let before =
                used.iter().find(|(used, _)| again && Some(*used) == key).map(|(_, what)| what.clone());
            let what = before.unwrap_or(what);
            used.extend(key.map(|key| (key, what.clone())));
            Request { what, key }
        };
        let segments = segments.into_iter().map(|(clock, jobs)| {
            let jobs = jobs.into_iter().map(|job| job.into_iter().map(&mut keyed).collect());
            Segment { clock, jobs: jobs.collect() }
        });
        std::iter::once(funding()).chain(segments).collect()
    })
}
