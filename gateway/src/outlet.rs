//! From what a provider sends to what the client gets.

use bytes::Bytes;
use domain::execution::Operation;

use crate::dialect::{Malformed, Meter, chat};
use crate::sse::Event;
use crate::translate::{Frame, Translating};

/// The way from a provider's stream to the client's.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// The same shape: byte for byte.
    Same,
    /// OpenAI's chat, without the usage that only we had asked for.
    WithoutUsage,
    /// Another shape.
    Other(Box<Translating>),
}

impl Outlet {
    pub(crate) fn new(spoken: Operation, asked: Operation, usage_asked: bool, frame: Frame) -> Self {
        if spoken != asked {
            return Self::Other(Box::new(Translating::new(spoken, asked, frame)));
        }
        if asked == Operation::OpenAiChat && !usage_asked { Self::WithoutUsage } else { Self::Same }
    }

    /// What the client gets for an event that is not the last, perhaps nothing.
    pub(crate) fn event(&mut self, event: &Event) -> Result<Bytes, Malformed> {
        match self {
            Self::Same => Ok(event.raw.clone()),
            Self::WithoutUsage => Ok(chat::without_usage(event).unwrap_or_default()),
            Self::Other(translating) => translating.event(event),
        }
    }

    /// What the client gets at the end of a whole answer: `event` is the provider's last, where it has one.
    pub(crate) fn end(&mut self, event: Option<&Event>, meter: &Meter) -> Bytes {
        match self {
            Self::Same | Self::WithoutUsage => event.map(|event| event.raw.clone()).unwrap_or_default(),
            Self::Other(translating) => translating.end(meter),
        }
    }
}
