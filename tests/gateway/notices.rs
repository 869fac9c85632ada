//! What the log says of calls.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use commands::Command;
use domain::catalogue::{CatalogueCommand, Enforcement, Governed, Mode, Policy};
use domain::{AssetCode, WalletPath};

use crate::provider::{Provider, answer, used, whole};
use crate::support::ledger::amount;
use crate::world::{World, header, openai, read};

/// The log of all tests of this program.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let level = tracing::Level::WARN;
        tracing_subscriber::fmt().with_ansi(false).with_max_level(level).with_writer(|| Log).init();
    });
}

/// The lines that name this.
fn said_of(name: &str) -> Vec<String> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&log);
    text.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_warns_says_so_in_the_log() {
    listen();
    let provider = Provider::new([whole(200, &answer("x", &used(30, 20)))]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let (mode, asset) = (Mode::Lifetime, AssetCode::new("USD").unwrap());
    let policy = Policy { mode, amount: amount("0.00"), asset, enforcement: Enforcement::Warn };
    let governed = Governed::Wallet(WalletPath::new("w").unwrap());
    let set = Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy });
    world.ledger.run(set, None).await.unwrap();
    let call = async || {
        let reply = world.gateway.call(world.chat()).await;
        let id = header(&reply, "counterfoil-execution").unwrap().to_owned();
        assert_eq!(read(reply).await.0, 200);
        said_of(&id)
    };
    assert_eq!(call().await, Vec::<String>::new(), "there is enough");
    world.leave("0.00").await;
    let said = call().await;
    assert_eq!(said.len(), 1, "{said:?}");
    for word in ["WARN", "allowance_exceeded", "wallet=w"] {
        assert!(said[0].contains(word), "{said:?}");
    }
}
