//! What a wallet may use, as one command sees it, together with the postings that grants, their ends and debts are.

use domain::allowance::{AllowanceCommand, AllowanceEvent, AllowanceRejection};
use domain::catalogue::{Enforcement, Policy};
use domain::transaction::Posting;
use domain::wallet::{WalletRejection, WalletStatus};
use domain::{
    Allowance, AllowanceId, Amount, AssetCode, Catalogue, CatalogueId, ExecutionId, LevelName, Scale,
    TransactionId, UserRef, Wallet, WalletId, WalletPath,
};
use uuid::Uuid;

use super::{Deciding, transact};
use crate::period;
use crate::request::TransactionRequest;
use crate::workspace::{Stop, Workspace};

/// Where grants come from.
pub(super) const GRANTS: &str = "@grants";
/// Where what is left of them goes.
const EXPIRED: &str = "@expired";
/// Who pays for a wallet what it owes, until it does.
pub(super) const DEBTS: &str = "@debts";

/// A wallet and what it may use, as the present command sees them.
pub(super) struct User {
    deciding: Deciding,
    path: WalletPath,
    wallet: WalletId,
    pub(super) id: AllowanceId,
    pub(super) asset: AssetCode,
    pub(super) scale: Scale,
    pub(super) catalogue: Catalogue,
    /// For whom the call is made.
    named: Option<UserRef>,
    /// How many transactions were made by it in this command, for their ids.
    made: usize,
}

impl User {
    /// The wallet at `path`, which must exist and be nobody's but the tenant's customer's.
    pub(super) fn of(
        workspace: &mut Workspace<'_>,
        deciding: Deciding,
        path: &WalletPath,
        named: Option<UserRef>,
    ) -> Result<Self, Stop> {
        if path.is_system() {
            return Err(AllowanceRejection::SystemWallet.into());
        }
        let wallet = WalletId::of(deciding.tenant, path);
        let (id, catalogue) = (AllowanceId::of(wallet), CatalogueId::of(deciding.tenant));
        workspace.require([wallet.0, id.0, catalogue.0])?;
        let catalogue = workspace.get::<Catalogue>(catalogue.0)?;
        let state: Wallet = workspace.get(wallet.0)?;
        if !state.exists() {
            return Err(WalletRejection::NotFound(path.clone()).into());
        }
        // Overdue holds end first: they may give back what is asked for here.
        let due: Vec<_> = state.due(workspace.now).collect();
        if !due.is_empty() {
            return Err(Stop::Due(due));
        }
        let (asset, scale) = (state.asset, state.balance.posted.scale());
        Ok(Self { deciding, path: path.clone(), wallet, id, asset, scale, catalogue, named, made: 0 })
    }

    /// Refuses a wallet that takes part in nothing new.
    pub(super) fn usable(&self, workspace: &mut Workspace<'_>) -> Result<(), Stop> {
        match workspace.get::<Wallet>(self.wallet.0)?.status {
            WalletStatus::Absent => Err(WalletRejection::NotFound(self.path.clone()).into()),
            WalletStatus::Closed => Err(WalletRejection::Closed(self.path.clone()).into()),
            WalletStatus::Frozen => Err(WalletRejection::Frozen(self.path.clone()).into()),
            WalletStatus::Open => Ok(()),
        }
    }

    /// What the wallet can spend now, never less than nothing.
    pub(super) fn available(&self, workspace: &mut Workspace<'_>) -> Result<Amount, Stop> {
        self.available_with(workspace, Amount::zero(self.scale))
    }

    /// What it can spend once `more` is given back to it. A wallet that takes part in nothing new can spend nothing.
    pub(super) fn available_with(&self, workspace: &mut Workspace<'_>, more: Amount) -> Result<Amount, Stop> {
        let wallet: Wallet = workspace.get(self.wallet.0)?;
        let minor = wallet.spendable().minor().saturating_add(more.minor());
        let available = Amount::from_minor(minor, self.scale);
        let spendable = wallet.status == WalletStatus::Open && available.is_positive();
        Ok(if spendable { available } else { Amount::zero(self.scale) })
    }

    /// Notes of which grants was what a call has paid, and that nothing is promised to it any more.
    pub(super) fn burn(
        &mut self,
        workspace: &mut Workspace<'_>,
        execution: ExecutionId,
        amount: Amount,
    ) -> Result<(), Stop> {
        if !self.allowance(workspace)?.exists() {
            return Ok(());
        }
        let available = workspace.get::<Wallet>(self.wallet.0)?.spendable();
        self.decide(workspace, AllowanceCommand::Burn { execution, amount, available }).map(|_| ())
    }

    pub(super) fn allowance(&self, workspace: &mut Workspace<'_>) -> Result<Allowance, Stop> {
        workspace.get(self.id.0)
    }

    /// The policy that applies.
    fn policy(&self, allowance: &Allowance) -> Option<Policy> {
        self.catalogue.policy(&self.path, allowance.user.as_ref(), allowance.level.as_ref()).cloned()
    }

    /// What happens where too little is available.
    pub(super) fn enforcement(&self, workspace: &mut Workspace<'_>) -> Result<Enforcement, Stop> {
        let allowance = self.allowance(workspace)?;
        Ok(self.policy(&allowance).map_or(Enforcement::Hard, |policy| policy.enforcement))
    }

    /// Brings the allowance up to date. False where there was nothing to do.
    pub(super) fn renew(&mut self, workspace: &mut Workspace<'_>) -> Result<bool, Stop> {
        // Nothing can be moved of a wallet that is frozen, and a grant must not end without its money: it ends once it is open.
        if workspace.get::<Wallet>(self.wallet.0)?.status != WalletStatus::Open {
            return Ok(false);
        }
        let bound = self.bind(workspace)?;
        let mut allowance = self.allowance(workspace)?;
        let policy = self.policy(&allowance);
        if !allowance.exists() {
            if policy.is_none() {
                return Ok(false);
            }
            self.begin(workspace)?;
            allowance = self.allowance(workspace)?;
        }
        let zone = self.catalogue.time_zone.as_ref();
        let present = period::month(zone, workspace.now);
        let begun = allowance.period.map_or(1, |last| period::begun(zone, last.start, present.start));
        let available = self.available(workspace)?;
        let renew = AllowanceCommand::Renew { policy, period: (present, begun), available };
        let renewed = self.decide(workspace, renew)?;
        Ok(self.repay(workspace)? | renewed | bound)
    }

    /// Makes the user for whom a call is made the wallet's, where it has none and a policy is this user's: the policy must be
    /// the same for all who come by, and most of them, such as the sweeper, name nobody. False where nothing changes.
    fn bind(&mut self, workspace: &mut Workspace<'_>) -> Result<bool, Stop> {
        let Allowance { level, user, .. } = self.allowance(workspace)?;
        let governed = |name: &UserRef| user.is_none() && self.catalogue.user_policies.contains_key(name);
        let Some(name) = self.named.clone().filter(governed) else { return Ok(false) };
        self.assign(workspace, level, Some(name)).map(|()| true)
    }

    /// Pays what is owed from what there is. False where nothing is owed, or nothing is there.
    pub(super) fn repay(&mut self, workspace: &mut Workspace<'_>) -> Result<bool, Stop> {
        if self.allowance(workspace)?.debt.is_zero() {
            return Ok(false);
        }
        let available = self.available(workspace)?;
        self.decide(workspace, AllowanceCommand::Repay { available })
    }

    /// One of the tenant's own wallets, for the asset of this one: `@revenue`, or `@revenue:EUR` where that has another asset.
    pub(super) fn system(
        &self,
        workspace: &mut Workspace<'_>,
        name: &str,
        bearer: Bearer,
    ) -> Result<WalletPath, Stop> {
        let path = |text: &str| WalletPath::new(text).map_err(|error| Stop::Broken(error.to_string()));
        let (own, other) = (path(name)?, path(&format!("{name}:{}", self.asset))?);
        let id = WalletId::of(self.deciding.tenant, &own);
        let Some(wallet) = workspace.look::<Wallet>(id.0)?.filter(|wallet| wallet.exists()) else {
            return Ok(own);
        };
        let bears = wallet.asset == self.asset
            && match bearer {
                Bearer::AsItIs => true,
                Bearer::InAnyCase(amount) => {
                    let room = wallet.minimum.is_none() || wallet.spendable().minor() >= amount.minor();
                    wallet.status == WalletStatus::Open && room && wallet.balance.has_room_for(amount)
                }
            };
        Ok(if bears { own } else { other })
    }

    /// Makes sure that the allowance has begun.
    pub(super) fn begin(&mut self, workspace: &mut Workspace<'_>) -> Result<(), Stop> {
        if self.allowance(workspace)?.exists() { Ok(()) } else { self.assign(workspace, None, None) }
    }

    pub(super) fn assign(
        &mut self,
        workspace: &mut Workspace<'_>,
        level: Option<LevelName>,
        user: Option<UserRef>,
    ) -> Result<(), Stop> {
        let (wallet, asset) = (self.path.clone(), self.asset.clone());
        let assign = AllowanceCommand::Assign { id: self.id, wallet, asset, scale: self.scale, level, user };
        self.decide(workspace, assign).map(|_| ())
    }

    /// Decides a command of the allowance, and moves the money that its events are about. False where it has no events.
    pub(super) fn decide(
        &mut self,
        workspace: &mut Workspace<'_>,
        command: AllowanceCommand,
    ) -> Result<bool, Stop> {
        let now = workspace.now;
        let events = self.allowance(workspace)?.decide(command, now)?;
        let any = !events.is_empty();
        for event in events {
            let moves = movement(&event);
            let Deciding { tenant, command_id } = self.deciding;
            workspace.emit::<Allowance>(tenant.0, command_id, self.id.0, event)?;
            if let Some((other, comes, amount)) = moves.filter(|(_, _, amount)| amount.is_positive()) {
                self.transfer(workspace, other, comes, amount)?;
            }
        }
        Ok(any)
    }

    /// Posts `amount` between the wallet and one of the tenant's own: to the wallet where it `comes`, from it otherwise.
    fn transfer(
        &mut self,
        workspace: &mut Workspace<'_>,
        other: &str,
        comes: bool,
        amount: Amount,
    ) -> Result<(), Stop> {
        let name = format!("allowance/{}/{}", self.id, self.made);
        self.made += 1;
        let id = TransactionId(Uuid::new_v5(&self.deciding.command_id, name.as_bytes()));
        workspace.fresh(id.0);
        let (wallet, other) = (self.path.clone(), self.system(workspace, other, Bearer::AsItIs)?);
        let (from, to) = if comes { (other, wallet) } else { (wallet, other) };
        let posting = Posting { from, to, amount, asset: self.asset.clone() };
        let request = TransactionRequest { postings: vec![posting], ..TransactionRequest::default() };
        transact::make_as(workspace, self.deciding, id, &request).map(|_| ())
    }
}

/// What an event moves: with which of the tenant's own wallets, whether it comes into the wallet, and how much.
fn movement(event: &AllowanceEvent) -> Option<(&'static str, bool, Amount)> {
    match event {
        AllowanceEvent::Allocated { added, .. } => Some((GRANTS, true, *added)),
        AllowanceEvent::Granted { amount, .. } => Some((GRANTS, true, *amount)),
        AllowanceEvent::Expired { moved, .. } => Some((EXPIRED, false, *moved)),
        AllowanceEvent::DebtRepaid { amount, .. } => Some((DEBTS, false, *amount)),
        AllowanceEvent::Assigned { .. }
        | AllowanceEvent::Reserved { .. }
        | AllowanceEvent::Burned { .. }
        | AllowanceEvent::Returned { .. }
        | AllowanceEvent::Indebted { .. }
        | AllowanceEvent::Exceeded { .. } => None,
    }
}

/// Whether one of the tenant's own wallets may refuse what it is asked to bear.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bearer {
    /// It may: what was not done yet is not done then.
    AsItIs,
    /// It must bear this much, or another must: what a provider did is recorded whatever was done to the wallet.
    InAnyCase(Amount),
}
