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
    let amount = prop_oneof![1 => -1..1_i64, 40 => 1..40_i64, 10 => 40..400_i64];
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
        40 => Just(1..2),
        20 => Just(2..4),
    ]
    .prop_flat_map(|count| prop::collection::vec(posting(), count));
    let expires = prop::option::weighted(0.6, prop_oneof![1 => -1..1_i64, 20 => 1..12_i64]);
    let reference = prop::option::weighted(0.8, 0..8_u8);
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
    let amount = prop_oneof![1 => -1..0_i64, 10 => Just(0), 40 => 1..30_i64];
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
        1 => wallet().prop_map(Do::Unfreeze),
        1 => wallet().prop_map(Do::Close),
        16 => make().prop_map(Do::Make),
        3 => prop::collection::vec(make(), 1..4).prop_map(Do::Batch),
        6 => (reference(), amounts()).prop_map(|(reference, amounts)| Do::Settle(reference, amounts)),
        1 => reference().prop_map(Do::Release),
        1 => reference().prop_map(Do::Expire),
        4 => (reference(), amounts()).prop_map(|(reference, amounts)| Do::Reverse(reference, amounts)),
    ]
}

/// Money for everybody, so that less is refused.
fn funding() -> Segment {
    let fund = |from: usize, to: usize| {
        let (from, to, asset) = (Wallet(from), Wallet(to), WALLETS[to].1);
        let postings = vec![Posting { from, to, amount: 2_000, asset }];
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

/// Draws a sequence together: keys are mostly used again for the same command, references mostly new, and what
/// settles or reverses mostly names a transaction that there is, with as many amounts as it has postings.
#[derive(Default)]
struct Weaver {
    used: Vec<(u8, Do)>,
    /// The references so far, whether they are holds, and their postings.
    made: Vec<(u8, bool, usize)>,
}

impl Weaver {
    fn request(&mut self, what: Do, key: Option<u8>, likely: bool) -> Request {
        let before =
            self.used.iter().find(|(used, _)| likely && Some(*used) == key).map(|(_, what)| what.clone());
        let mut what = before.unwrap_or(what);
        if likely && !self.used.iter().any(|(_, used)| *used == what) {
            self.aim(&mut what);
        }
        self.used.extend(key.map(|key| (key, what.clone())));
        Request { what, key }
    }

    fn aim(&mut self, what: &mut Do) {
        match what {
            Do::Make(make) => self.note(make),
            Do::Batch(makes) => makes.iter_mut().for_each(|make| self.note(make)),
            Do::Settle(reference, amounts) => self.hit(true, reference, amounts.as_mut()),
            Do::Release(reference) | Do::Expire(reference) => self.hit(true, reference, None),
            Do::Reverse(reference, amounts) => self.hit(false, reference, amounts.as_mut()),
            Do::Open(..) | Do::Freeze(_) | Do::Unfreeze(_) | Do::Close(_) => {}
        }
    }

    fn note(&mut self, make: &mut Make) {
        if let Some(reference) = &mut make.reference {
            *reference = u8::try_from(self.made.len()).unwrap();
            self.made.push((*reference, make.hold, make.postings.len()));
        }
    }

    fn hit(&self, hold: bool, reference: &mut u8, amounts: Option<&mut Vec<i64>>) {
        let suited: Vec<_> = self.made.iter().rev().filter(|one| one.1 || !hold).take(6).collect();
        if let Some((chosen, _, postings)) = suited.get(usize::from(*reference) % suited.len().max(1)) {
            *reference = *chosen;
            if let Some(amounts) = amounts {
                amounts.resize(*postings, 5);
            }
        }
    }
}

/// Segments of jobs, the first with some money.
pub fn sequences() -> impl Strategy<Value = Vec<Segment>> {
    let key = prop::option::weighted(0.3, 0..5_u8);
    let request = (command(), key, prop::bool::weighted(0.85)).boxed();
    let job = prop_oneof![3 => Just(1..2_usize), 1 => Just(2..5)]
        .prop_flat_map(move |count| prop::collection::vec(request.clone(), count));
    let clock = prop_oneof![6 => 0..9_i64, 1 => -30..0_i64];
    let segment = (clock, prop::collection::vec(job, 1..10));
    prop::collection::vec(segment, 1..6).prop_map(|segments| {
        let mut weaver = Weaver::default();
        let segments = segments.into_iter().map(|(clock, jobs)| {
            let job = |job: Vec<(Do, Option<u8>, bool)>| {
                job.into_iter().map(|(what, key, likely)| weaver.request(what, key, likely)).collect()
            };
            Segment { clock, jobs: jobs.into_iter().map(job).collect() }
        });
        std::iter::once(funding()).chain(segments.collect::<Vec<_>>()).collect()
    })
}
