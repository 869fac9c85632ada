//! A request of an SDK, up to where the gateway takes it over.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;
use bytes::Bytes;
use domain::execution::Operation;
use domain::{TenantId, UserRef, WalletPath};
use gateway::{Call, Query, Refusal};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::auth::{Actor, Caller};
use crate::extract::{self, sdk as read};
use crate::field::Checked;
use crate::problem::{Problem, code};

/// Which wallet pays.
const WALLET: &str = "counterfoil-wallet";
/// For whom the program calls.
const USER: &str = "counterfoil-user";

/// The headers that mean something to providers. Others stay here: credentials, cookies, and what is about the connection.
const PASSED: [&str; 4] = ["anthropic-version", "anthropic-beta", "openai-beta", "accept-language"];

/// Who asks, and what.
pub struct Asked {
    /// The program's state.
    pub app: Data<App>,
    /// The call.
    pub call: Call,
    /// Held until there is an answer.
    pub admitted: OwnedSemaphorePermit,
}

/// Where the address of a call says something that bodies of other shapes say.
#[derive(Debug, Clone, Default)]
pub struct InAddress {
    /// The model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

impl Asked {
    /// Reads a request.
    pub async fn of(
        request: &HttpRequest,
        payload: Payload,
        operation: Operation,
        address: InAddress,
    ) -> Result<Self, Problem> {
        let app = extract::state(request)?;
        let caller = Caller::identify(&app, request).await?;
        room(&app, caller.tenant)?;
        let key = read::key(request)?;
        let (wallet, user) = wallet_and_user(&app, request, &caller, None, None).await?;
        let (body, admitted) = read::body(&app, request, payload, caller.tenant).await?;
        let call = Call {
            tenant: caller.tenant,
            context: read::context(&app, request, &caller),
            wallet,
            application: application(&caller),
            user,
            operation,
            model: address.model,
            stream: address.stream,
            body: Bytes::from(body),
            query: Query::of(request.query_string()),
            headers: passed(request),
            key,
        };
        Ok(Self { app, call, admitted })
    }
}

/// Refuses a call that the gateway would refuse, before its body is read.
fn room(app: &App, tenant: TenantId) -> Result<(), Problem> {
    let full = |refusal: Refusal| {
        let code = if refusal.status == 503 { code::TOO_MANY_CALLS } else { code::TOO_MANY_CALLS_OF_TENANT };
        Problem::new(code, refusal.message).retry(1)
    };
    app.gateway.has_room(tenant).map_err(full)
}

/// The application that asks, where it is one.
pub fn application(caller: &Caller) -> Option<domain::ApplicationId> {
    match caller.actor {
        Actor::Program { application, .. } => Some(application),
        Actor::Operator { .. } | Actor::User { .. } => None,
    }
}

/// Who pays, and for whom: what the body says, else what a header says, else the wallet that is written in the metadata
/// of the application.
pub async fn wallet_and_user(
    app: &App,
    request: &HttpRequest,
    caller: &Caller,
    wallet: Option<WalletPath>,
    user: Option<UserRef>,
) -> Result<(WalletPath, Option<UserRef>), Problem> {
    let user = match user {
        Some(user) => Some(user),
        None => header::<UserRef>(request, USER)?,
    };
    let named = match wallet {
        Some(wallet) => Some(wallet),
        None => header::<WalletPath>(request, WALLET)?,
    };
    if let Some(wallet) = named {
        return Ok((wallet, user));
    }
    let known = match application(caller) {
        Some(application) => app.directory.wallet_of(caller.tenant, application).await?,
        None => None,
    };
    let missing = || {
        let detail = "say which wallet pays: by the header Counterfoil-Wallet, or as `wallet` in the metadata of \
                      the application whose key it is";
        Problem::new(code::WALLET_NOT_NAMED, detail).at("Counterfoil-Wallet")
    };
    Ok((known.ok_or_else(missing)?, user))
}

fn header<T: Checked>(request: &HttpRequest, name: &str) -> Result<Option<T>, Problem> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    T::check(text).map(Some).map_err(|wrong| Problem::from(wrong).at(name))
}

fn passed(request: &HttpRequest) -> Vec<(String, String)> {
    let value = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    PASSED.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn of_the_headers_those_that_mean_something_to_providers_pass_and_no_other() {
        let mut request = TestRequest::default();
        for name in ["anthropic-version", "anthropic-beta", "openai-beta", "accept-language"] {
            request = request.insert_header((name, "a"));
        }
        for name in ["authorization", "x-api-key", "cookie", "accept-encoding", "counterfoil-wallet"] {
            request = request.insert_header((name, "secret"));
        }
        let passed: Vec<_> = passed(&request.to_http_request()).into_iter().collect();
        assert_eq!(passed.len(), 4, "{passed:?}");
        assert!(passed.contains(&("accept-language".to_owned(), "a".to_owned())), "{passed:?}");
        assert!(passed.iter().all(|(_, value)| value == "a"), "{passed:?}");
    }
}
