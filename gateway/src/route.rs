//! Which providers are asked, and in which order.
//!
//! By the priority of the route, then by that of the provider, lower first. Among equals chance decides, each in proportion
//! to its weight; those with weight zero come after the others.

use std::sync::Arc;

use domain::catalogue::Route;
use domain::{ModelName, Price};

use crate::offer::{Offer, Supplier};
use crate::refusal::Refusal;
use crate::retry::Chance;

/// A provider that can be asked for the model.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) supplier: Arc<Supplier>,
    /// The provider's name for the model.
    pub(crate) model: ModelName,
    pub(crate) price: Option<Price>,
}

/// The providers of a model, in the order in which they are asked.
pub(crate) fn stops(offer: &Offer, alias: &str, chance: &Chance) -> Result<Vec<Stop>, Refusal> {
    let unknown = || Refusal::new(404, "unknown_model", format!("the model `{alias}` is not offered"));
    let model = ModelName::new(alias).ok().and_then(|name| offer.models.get(&name)).ok_or_else(unknown)?;
    let mut routes: Vec<(&Route, &Arc<Supplier>)> = model
        .routes
        .iter()
        .filter_map(|route| Some((route, offer.providers.get(&route.provider)?)))
        .filter(|(_, supplier)| supplier.provider.enabled)
        .collect();
    if routes.is_empty() {
        let message = format!("no provider of `{alias}` is switched on");
        return Err(Refusal::new(503, "no_provider", message));
    }
    let rank = |(route, supplier): &(&Route, &Arc<Supplier>)| (route.priority, supplier.provider.priority);
    routes.sort_by_key(rank);
    let ordered =
        routes.chunk_by(|one, other| rank(one) == rank(other)).flat_map(|equals| drawn(equals, chance));
    let stop = |(route, supplier): (&Route, &Arc<Supplier>)| Stop {
        supplier: Arc::clone(supplier),
        model: route.model.clone(),
        price: offer.prices.get(&(route.provider.clone(), route.model.clone())).cloned(),
    };
    Ok(ordered.map(stop).collect())
}

/// Equals in an order drawn by their weights.
fn drawn<'a, 'b>(
    equals: &[(&'a Route, &'b Arc<Supplier>)],
    chance: &Chance,
) -> Vec<(&'a Route, &'b Arc<Supplier>)> {
    let mut left = equals.to_vec();
    let mut ordered = Vec::with_capacity(left.len());
    while left.len() > 1 {
        let total: u64 = left.iter().map(|(route, _)| u64::from(route.weight)).sum();
        let mut ticket = chance.below(total);
        let mut chosen = 0;
        for (at, (route, _)) in left.iter().enumerate() {
            let weight = u64::from(route.weight);
            if ticket < weight {
                chosen = at;
                break;
            }
            ticket -= weight;
        }
        ordered.push(left.remove(chosen));
    }
    ordered.extend(left);
    ordered
}

#[cfg(test)]
mod tests;
