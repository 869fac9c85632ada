//! A call of a model, in `OpenAI`'s shape, directly or through the gateway.

use std::io::Write;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::gateway::wire::{DONE, USAGE};
use crate::measure::Failure;

/// The wallet that pays for calls through the gateway.
pub const WALLET: &str = "gateway";
/// What whoever calls the provider directly shows to it.
pub const CREDENTIAL: &str = "direct";
/// The length of what is asked, in bytes: about a thousand tokens.
const QUESTION: usize = 4_000;

/// Which way a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// To the provider.
    Direct,
    /// To the server, which calls the provider.
    Gateway,
}

impl Side {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
        }
    }

    /// Where chats are asked for.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Direct => "/v1/chat/completions",
            Self::Gateway => "/openai/v1/chat/completions",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Which way.
    pub side: Side,
    /// As a stream.
    pub streamed: bool,
    /// How long the provider thinks before it answers, in milliseconds.
    pub think_ms: u64,
}

impl Chat {
    /// Writes the request's body: the same for both sides.
    pub(super) fn write_body(self, to: &mut Vec<u8>) -> Result<(), Failure> {
        let model = crate::gateway::wire::model(self.think_ms);
        write!(to, r#"{{"model":"{model}","max_tokens":256,"messages":[{{"role":"user","content":""#)?;
        to.extend(b"what costs what ".iter().cycle().take(QUESTION));
        to.extend_from_slice(br#""}]"#);
        if self.streamed {
            to.extend_from_slice(br#","stream":true,"stream_options":{"include_usage":true}"#);
        }
        to.push(b'}');
        Ok(())
    }

    /// Whether an answer is all that was asked for.
    pub(super) fn is_whole(self, body: &[u8]) -> bool {
        let usage = memmem::find(body, USAGE.as_bytes()).is_some();
        usage && (!self.streamed || body.ends_with(DONE.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_ask_the_same_in_well_formed_json() {
        for streamed in [false, true] {
            let [direct, gateway] = [Side::Direct, Side::Gateway].map(|side| {
                let mut body = Vec::new();
                Chat { side, streamed, think_ms: 20 }.write_body(&mut body).unwrap();
                body
            });
            assert_eq!(direct, gateway);
            let body: serde_json::Value = serde_json::from_slice(&direct).unwrap();
            assert_eq!(body["messages"][0]["content"].as_str().map(str::len), Some(QUESTION));
            assert_eq!(body["stream"].as_bool(), streamed.then_some(true));
        }
    }
}
