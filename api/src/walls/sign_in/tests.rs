//! A million wrong passwords, in every direction they can come from, through the gates as they stand in the program.
//!
//! What passes both gates is what a password is hashed for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::super::rate::MOST;
use super::*;

/// How many guesses an attack has.
const MILLION: u64 = 1_000_000;
const HOUR: u64 = 3_600;
/// The pace that the program has by default: so many at once, and so many more each minute.
const BURST: u32 = 30;
const PER_MINUTE: u64 = 20;
/// What one count lets through in an hour of trying as fast as one likes.
const IN_AN_HOUR: u64 = BURST as u64 + 60 * PER_MINUTE;

fn gates() -> SignIns {
    let burst = NonZeroU32::new(BURST).unwrap();
    SignIns::new(Pace { burst, every: Duration::from_secs(60) / u32::try_from(PER_MINUTE).unwrap() })
}

fn place(number: u64) -> Place {
    Place::of(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap())))
}

fn account(number: u64) -> AccountIndex {
    let mut index = [0; 32];
    index.iter_mut().zip(number.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    index
}

/// Whether a guess gets as far as the password, as in the program: first the place, then the account.
fn hashed(gates: &SignIns, from: Place, at: &AccountIndex) -> bool {
    gates.pass_place(from).wait.is_none() && gates.pass_account(at, from).wait.is_none()
}

/// What became of an attack.
struct Attack {
    /// Guesses that a password was hashed for, by account.
    hashed: HashMap<u64, u64>,
    /// The most callers that were remembered at a time, by all gates together.
    remembered: usize,
}

impl Attack {
    /// A million guesses, spread evenly over so many seconds. `guess` says from which place and at which account.
    async fn mount(gates: &SignIns, seconds: u64, guess: impl Fn(u64) -> (u64, u64)) -> Self {
        let mut attack = Self { hashed: HashMap::new(), remembered: 0 };
        for second in 0..seconds {
            for number in second * MILLION / seconds..(second + 1) * MILLION / seconds {
                let (from, at) = guess(number);
                if hashed(gates, place(from), &account(at)) {
                    *attack.hashed.entry(at).or_default() += 1;
                }
            }
            attack.remembered = attack.remembered.max(gates.remembered());
            tokio::time::advance(Duration::from_secs(1)).await;
            gates.upkeep();
        }
        attack
    }

    fn all(&self) -> u64 {
        self.hashed.values().sum()
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_million_guesses_from_one_address_a_thousand_an_hour_reach_a_password() {
    for at in [|_| 7, |number| number] {
        let attack = Attack::mount(&gates(), HOUR, |number| (1, at(number))).await;
        let through = attack.all();
        assert!((IN_AN_HOUR - 60..=IN_AN_HOUR).contains(&through), "{through}");
        assert!(attack.remembered < 10_000, "{}", attack.remembered);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_million_guesses_at_one_account_from_a_million_addresses_no_more_do() {
    let gates = gates();
    let attack = Attack::mount(&gates, HOUR, |number| (number, 7)).await;
    let through = attack.all();
    assert!((IN_AN_HOUR - 60..=IN_AN_HOUR).contains(&through), "{through}");
    assert!(attack.remembered < 10_000, "{}", attack.remembered);
    // So a million guesses at one account take weeks, however many addresses help.
    const { assert!(MILLION / (24 * 60 * PER_MINUTE) > 30) };
}

#[tokio::test(start_paused = true)]
async fn however_a_million_guesses_are_spread_no_account_gets_more_than_its_share() {
    // Every address stays below its own limit, and every account is somebody else's turn.
    let attack = Attack::mount(&gates(), HOUR, |number| (number % 1_000, number / 7 % 500)).await;
    assert_eq!(attack.hashed.len(), 500);
    for (account, through) in &attack.hashed {
        assert!(*through <= IN_AN_HOUR, "account {account}: {through}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_addresses_within_seconds_fill_no_memory() {
    let attack = Attack::mount(&gates(), 10, |number| (number, number)).await;
    // Each gate remembers so many, those of one second more, and the counts that the rest share.
    let bound = 2 * (MOST + 100_000 + 4_096);
    assert!(attack.remembered <= bound, "{}", attack.remembered);
    // Whoever came after that had to share.
    assert!(attack.all() < MILLION / 2, "{}", attack.all());
}

#[tokio::test(start_paused = true)]
async fn an_owner_gets_in_from_where_they_got_in_before_while_others_guess_and_from_elsewhere_afterwards() {
    let gates = gates();
    let (owner, home, elsewhere) = (account(7), place(1), place(2));
    assert!(hashed(&gates, home, &owner));
    gates.welcome(&owner, home);
    for minute in 0..60_u64 {
        for number in 0..1_000 {
            hashed(&gates, place(1_000 + minute * 1_000 + number), &owner);
        }
        assert!(hashed(&gates, home, &owner), "minute {minute}: the owner is locked out");
        assert!(
            !hashed(&gates, elsewhere, &owner),
            "minute {minute}: the attack uses up the account's count"
        );
        tokio::time::advance(Duration::from_secs(60)).await;
        gates.upkeep();
        for number in 0..BURST {
            hashed(&gates, place(100_000 + u64::from(number)), &owner);
        }
    }
    // Once nobody guesses any more, one more try is let through after three seconds, from anywhere.
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(hashed(&gates, elsewhere, &owner));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_known_has_one_count_of_its_own_and_for_that_account_alone() {
    let gates = gates();
    let (owner, home) = (account(7), place(1));
    gates.welcome(&owner, home);
    let through = (0..1_000).filter(|_| hashed(&gates, home, &owner)).count();
    assert_eq!(through, BURST as usize, "who sits there guesses no faster");
    let through = (0..1_000).filter(|_| gates.pass_account(&account(8), home).wait.is_none()).count();
    assert_eq!(through, BURST as usize);
    assert!(
        gates.pass_account(&account(8), place(2)).wait.is_some(),
        "another account has its count used up there"
    );
}

#[tokio::test(start_paused = true)]
async fn who_found_an_open_browser_guesses_at_its_password_no_faster() {
    let gates = gates();
    let (found, other) = (UserId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
    let mut through = 0;
    for _ in 0..HOUR {
        through += (0..MILLION / HOUR).filter(|_| gates.pass_proof(found).wait.is_none()).count() as u64;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(through <= IN_AN_HOUR, "{through}");
    assert!(gates.pass_proof(other).wait.is_none(), "others have their own count");
}
