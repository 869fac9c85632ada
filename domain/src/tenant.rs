//! The tenant: the unit of isolation, and the list of its assets.

mod command;
mod event;
mod rejection;

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::TenantCommand;
pub use event::TenantEvent;
pub use rejection::TenantRejection;

use crate::{AssetCode, Moment, Scale, Slug, TenantName};

/// A tenant's state. The default is a tenant that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tenant {
    /// Its short name; empty while the tenant does not exist.
    pub slug: Slug,
    /// Its display name.
    pub name: TenantName,
    /// Its assets with their scales.
    pub assets: Arc<BTreeMap<AssetCode, Scale>>,
}

impl Tenant {
    /// Whether the tenant was created.
    pub fn exists(&self) -> bool {
        !self.slug.as_str().is_empty()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// The first [`TenantRejection`] that applies, in the order of that enum.
    pub fn decide(&self, command: TenantCommand) -> Result<TenantEvent, TenantRejection> {
        match command {
            TenantCommand::Create { slug, name } => {
                if self.exists() {
                    return Err(TenantRejection::AlreadyExists);
                }
                Ok(TenantEvent::Created { slug, name })
            }
            TenantCommand::RegisterAsset { code, scale } => {
                if !self.exists() {
                    return Err(TenantRejection::NotFound);
                }
                if self.assets.contains_key(&code) {
                    return Err(TenantRejection::AssetExists(code));
                }
                Ok(TenantEvent::AssetRegistered { code, scale })
            }
        }
    }
}

impl Aggregate for Tenant {
    const TYPE: &'static str = "tenant";
    type Command = TenantCommand;
    type Event = TenantEvent;
    type Error = TenantRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: TenantCommand,
        _moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), TenantRejection> {
        let event = self.decide(command)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: TenantEvent) {
        match event {
            TenantEvent::Created { slug, name } => {
                self.slug = slug;
                self.name = name;
            }
            TenantEvent::AssetRegistered { code, scale } => {
                Arc::make_mut(&mut self.assets).insert(code, scale);
            }
        }
    }
}

#[cfg(test)]
mod tests;
