//! Every code that a problem can have, with its status. The table of `docs/API.md` lists the same ones, and a
//! test compares them.

use actix_web::http::StatusCode;

/// A kind of problem. Its name is stable: clients may branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable name.
    pub name: &'static str,
    /// The HTTP status it is answered with.
    pub status: StatusCode,
    /// What it means, the same for every occurrence.
    pub title: &'static str,
}

impl Code {
    /// The code called `name`.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|code| code.name == name)
    }
}

macro_rules! codes {
    ($($constant:ident $name:literal $status:ident $title:literal)*) => {
        $(
            #[doc = $title]
            pub const $constant: Code = Code { name: $name, status: StatusCode::$status, title: $title };
        )*
        /// All of them, in the order of the documentation.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    // The request as such.
    MALFORMED_REQUEST "malformed_request" BAD_REQUEST "The request is not valid HTTP"
    MALFORMED_JSON "malformed_json" BAD_REQUEST "The body is not valid JSON"
    ROUTE_NOT_FOUND "route_not_found" NOT_FOUND "There is nothing at this address"
    METHOD_NOT_ALLOWED "method_not_allowed" METHOD_NOT_ALLOWED "The address does not know this method"
    REQUEST_TIMEOUT "request_timeout" REQUEST_TIMEOUT "The body did not arrive in time"
    URI_TOO_LONG "uri_too_long" URI_TOO_LONG "The address is too long"
    HEADERS_TOO_LARGE "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The headers are too large"
    BODY_TOO_LARGE "body_too_large" PAYLOAD_TOO_LARGE "The body is too large"
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body must be application/json"
    // Who asks.
    TOKEN_MISSING "token_missing" UNAUTHORIZED "A credential is needed"
    TOKEN_MALFORMED "token_malformed" UNAUTHORIZED "The token cannot be read"
    TOKEN_EXPIRED "token_expired" UNAUTHORIZED "The token has expired"
    TOKEN_INVALID "token_invalid" UNAUTHORIZED "The token is not valid here"
    TOKEN_REVOKED "token_revoked" UNAUTHORIZED "The token was revoked"
    SIGN_IN_FAILED "sign_in_failed" UNAUTHORIZED "The address or the password is wrong"
    SECOND_FACTOR_WRONG "second_factor_wrong" UNAUTHORIZED "The second factor is wrong, or was used before"
    REFRESH_TOKEN_INVALID "refresh_token_invalid" UNAUTHORIZED "The refresh token is not valid"
    PROVIDER_REFUSED "provider_refused" UNAUTHORIZED "The provider did not sign the person in"
    FORBIDDEN "forbidden" FORBIDDEN "The role does not allow this"
    WRONG_PASSWORD "wrong_password" FORBIDDEN "The password is not the present one"
    ROLE_NOT_GOVERNED "role_not_governed" FORBIDDEN "A role above one's own is not one's to give or take"
    INVITATION_NOT_YOURS "invitation_not_yours" FORBIDDEN "The invitation was sent to another address"
    PROVIDER_EMAIL_UNVERIFIED "provider_email_unverified" FORBIDDEN "The provider does not vouch for an address"
    TENANT_NOT_YOURS "tenant_not_yours" FORBIDDEN "The credential is not for this tenant"
    TENANT_NOT_CHOSEN "tenant_not_chosen" BAD_REQUEST "One of several tenants must be chosen"
    ADDRESS_NOT_ALLOWED "address_not_allowed" FORBIDDEN "The key may not be used from this address"
    CSRF_TOKEN_WRONG "csrf_token_wrong" FORBIDDEN "The request may not come from the page of the session"
    USER_SUSPENDED "user_suspended" FORBIDDEN "The user is suspended"
    TENANT_SUSPENDED "tenant_suspended" FORBIDDEN "The tenant is suspended"
    TENANT_CLOSED "tenant_closed" FORBIDDEN "The tenant is closed"
    WALLET_NOT_NAMED "wallet_not_named" BAD_REQUEST "Nothing says which wallet pays"
    RATE_LIMITED "rate_limited" TOO_MANY_REQUESTS "There were too many requests"
    // The form of what is asked.
    INVALID_BODY "invalid_body" UNPROCESSABLE_ENTITY "A field of the body has the wrong type"
    UNKNOWN_FIELD "unknown_field" UNPROCESSABLE_ENTITY "The body has a field that is not known"
    MISSING_FIELD "missing_field" UNPROCESSABLE_ENTITY "The body lacks a field"
    INVALID_AMOUNT "invalid_amount" UNPROCESSABLE_ENTITY "An amount is not a decimal number in a string"
    AMOUNT_TOO_PRECISE "amount_too_precise" UNPROCESSABLE_ENTITY "An amount has more digits than its asset"
    AMOUNT_TOO_LARGE "amount_too_large" UNPROCESSABLE_ENTITY "An amount is too large to be kept"
    AMOUNT_NOT_POSITIVE "amount_not_positive" UNPROCESSABLE_ENTITY "An amount must be positive"
    INVALID_SCALE "invalid_scale" UNPROCESSABLE_ENTITY "A scale is a whole number from 0 to 18"
    INVALID_SLUG "invalid_slug" UNPROCESSABLE_ENTITY "A slug does not have its form"
    INVALID_NAME "invalid_name" UNPROCESSABLE_ENTITY "A name does not have its form"
    INVALID_ASSET "invalid_asset" UNPROCESSABLE_ENTITY "An asset code does not have its form"
    INVALID_PATH "invalid_path" UNPROCESSABLE_ENTITY "A wallet path does not have its form"
    INVALID_REFERENCE "invalid_reference" UNPROCESSABLE_ENTITY "A reference does not have its form"
    INVALID_REASON "invalid_reason" UNPROCESSABLE_ENTITY "A reason does not have its form"
    INVALID_METADATA "invalid_metadata" UNPROCESSABLE_ENTITY "Metadata is not an object that can be kept"
    INVALID_TIME "invalid_time" UNPROCESSABLE_ENTITY "A time is not RFC 3339"
    INVALID_IDEMPOTENCY_KEY "invalid_idempotency_key" UNPROCESSABLE_ENTITY "The idempotency key does not have its form"
    INVALID_QUERY "invalid_query" UNPROCESSABLE_ENTITY "A query parameter is not known or does not have its form"
    INVALID_LIMIT "invalid_limit" UNPROCESSABLE_ENTITY "A limit is a whole number from 1 to 100"
    INVALID_CURSOR "invalid_cursor" UNPROCESSABLE_ENTITY "The cursor was not made by this list"
    INVALID_POSITION "invalid_position" UNPROCESSABLE_ENTITY "The position is not one of this tenant"
    INVALID_STATUS "invalid_status" UNPROCESSABLE_ENTITY "A status is not one of those known"
    INVALID_EMAIL "invalid_email" UNPROCESSABLE_ENTITY "An email address does not have its form"
    INVALID_LOCALE "invalid_locale" UNPROCESSABLE_ENTITY "A locale is not a language tag"
    INVALID_LABEL "invalid_label" UNPROCESSABLE_ENTITY "A label does not have its form"
    INVALID_DESCRIPTION "invalid_description" UNPROCESSABLE_ENTITY "A description does not have its form"
    INVALID_DOMAIN "invalid_domain" UNPROCESSABLE_ENTITY "A domain does not have its form"
    INVALID_WEB_ADDRESS "invalid_web_address" UNPROCESSABLE_ENTITY "A web address does not have its form"
    INVALID_COLOUR "invalid_colour" UNPROCESSABLE_ENTITY "A colour does not have its form"
    INVALID_ROLE "invalid_role" UNPROCESSABLE_ENTITY "A role is not one of those known"
    INVALID_ENVIRONMENT "invalid_environment" UNPROCESSABLE_ENTITY "An environment is live or test"
    INVALID_SCOPE "invalid_scope" UNPROCESSABLE_ENTITY "A scope is not one of those known"
    INVALID_NETWORK "invalid_network" UNPROCESSABLE_ENTITY "A network does not have its form"
    WEAK_PASSWORD "weak_password" UNPROCESSABLE_ENTITY "The password is too easily guessed"
    ONE_TIME_TOKEN_INVALID "one_time_token_invalid" UNPROCESSABLE_ENTITY "The token is not known, was used, or has expired"
    INVALID_LEVEL "invalid_level" UNPROCESSABLE_ENTITY "A level does not have its form"
    INVALID_FEATURE "invalid_feature" UNPROCESSABLE_ENTITY "A feature does not have its form"
    INVALID_PROVIDER "invalid_provider" UNPROCESSABLE_ENTITY "A provider does not have its form"
    INVALID_CREDENTIAL "invalid_credential" UNPROCESSABLE_ENTITY "A credential does not have its form"
    INVALID_DIALECT "invalid_dialect" UNPROCESSABLE_ENTITY "A dialect is openai, anthropic or gemini"
    INVALID_MODEL "invalid_model" UNPROCESSABLE_ENTITY "A model does not have its form"
    INVALID_USER "invalid_user" UNPROCESSABLE_ENTITY "A user does not have its form"
    INVALID_TIME_ZONE "invalid_time_zone" UNPROCESSABLE_ENTITY "A time zone does not have its form"
    INVALID_MODE "invalid_mode" UNPROCESSABLE_ENTITY "A mode is lifetime or monthly"
    INVALID_ROLLOVER "invalid_rollover" UNPROCESSABLE_ENTITY "A rollover does not fit"
    INVALID_ENFORCEMENT "invalid_enforcement" UNPROCESSABLE_ENTITY "Enforcement is monitor, warn or hard"
    TOO_MANY_AT_ONCE "too_many_at_once" UNPROCESSABLE_ENTITY "More is given than is taken at once"
    BATCH_TOO_LARGE "batch_too_large" UNPROCESSABLE_ENTITY "A batch has 1 to 1,000 transactions"
    // What is not there.
    TENANT_NOT_FOUND "tenant_not_found" NOT_FOUND "The tenant does not exist"
    WALLET_NOT_FOUND "wallet_not_found" NOT_FOUND "The wallet does not exist"
    TRANSACTION_NOT_FOUND "transaction_not_found" NOT_FOUND "The transaction does not exist"
    USER_NOT_FOUND "user_not_found" NOT_FOUND "The user does not exist"
    SESSION_NOT_FOUND "session_not_found" NOT_FOUND "The session does not exist, or is over"
    MEMBER_NOT_FOUND "member_not_found" NOT_FOUND "The user is not a member of the tenant"
    INVITATION_NOT_FOUND "invitation_not_found" NOT_FOUND "The invitation does not exist"
    APPLICATION_NOT_FOUND "application_not_found" NOT_FOUND "The application does not exist"
    KEY_NOT_FOUND "key_not_found" NOT_FOUND "The key does not exist"
    PROVIDER_NOT_FOUND "provider_not_found" NOT_FOUND "There is no such provider"
    LEVEL_NOT_FOUND "level_not_found" NOT_FOUND "The level does not exist"
    POLICY_NOT_FOUND "policy_not_found" NOT_FOUND "There is no such policy"
    MODEL_NOT_FOUND "model_not_found" NOT_FOUND "The model does not exist"
    UNKNOWN_MODEL "unknown_model" NOT_FOUND "The model is not offered"
    ALLOWANCE_NOT_FOUND "allowance_not_found" NOT_FOUND "The wallet has no allowance"
    EXECUTION_NOT_FOUND "execution_not_found" NOT_FOUND "The execution does not exist"
    // What the state does not allow.
    TENANT_EXISTS "tenant_exists" CONFLICT "The slug is taken"
    ASSET_EXISTS "asset_exists" CONFLICT "The asset is registered already"
    WALLET_EXISTS "wallet_exists" CONFLICT "The path is taken"
    WALLET_CLOSED "wallet_closed" CONFLICT "The wallet is closed"
    WALLET_FROZEN "wallet_frozen" CONFLICT "The wallet is frozen"
    WALLET_NOT_FROZEN "wallet_not_frozen" CONFLICT "The wallet is not frozen"
    WALLET_NOT_EMPTY "wallet_not_empty" CONFLICT "The wallet is not empty"
    REFERENCE_TAKEN "reference_taken" CONFLICT "The reference is taken"
    HOLD_EXPIRED "hold_expired" CONFLICT "The hold has expired"
    HOLD_NOT_DUE "hold_not_due" CONFLICT "The hold is not due to expire"
    HOLD_OF_AN_EXECUTION "hold_of_an_execution" CONFLICT "A call that is running holds by the transaction"
    TRANSACTION_NOT_PENDING "transaction_not_pending" CONFLICT "The transaction is not pending"
    TRANSACTION_NOT_REVERSIBLE "transaction_not_reversible" CONFLICT "The transaction cannot be reversed"
    NOTHING_TO_REVERSE "nothing_to_reverse" CONFLICT "There is nothing to reverse"
    TENANT_NOT_SUSPENDED "tenant_not_suspended" CONFLICT "The tenant is not suspended"
    MEMBER_EXISTS "member_exists" CONFLICT "The user is a member already"
    ROLE_UNCHANGED "role_unchanged" CONFLICT "The member has this role already"
    LAST_OWNER "last_owner" CONFLICT "The last owner stays"
    TOO_MANY_MEMBERS "too_many_members" CONFLICT "The tenant has as many members as it can have"
    INVITATION_EXISTS "invitation_exists" CONFLICT "The invitation exists already"
    INVITATION_ACCEPTED "invitation_accepted" CONFLICT "The invitation has been accepted"
    INVITATION_WITHDRAWN "invitation_withdrawn" CONFLICT "The invitation has been withdrawn"
    INVITATION_EXPIRED "invitation_expired" CONFLICT "The invitation has expired"
    TOO_MANY_INVITATIONS "too_many_invitations" CONFLICT "The tenant has as many open invitations as it can have"
    USER_EXISTS "user_exists" CONFLICT "The user exists already"
    USER_ERASED "user_erased" CONFLICT "The user has been erased"
    USER_NOT_SUSPENDED "user_not_suspended" CONFLICT "The user is not suspended"
    EMAIL_ALREADY_VERIFIED "email_already_verified" CONFLICT "The email address is verified already"
    SECOND_FACTOR_ENABLED "second_factor_enabled" CONFLICT "A second factor is enabled already"
    SECOND_FACTOR_NOT_ENABLED "second_factor_not_enabled" CONFLICT "No second factor is enabled"
    IDENTITY_LINKED "identity_linked" CONFLICT "An identity of this issuer is linked already"
    IDENTITY_NOT_LINKED "identity_not_linked" CONFLICT "No identity of this issuer is linked"
    ALREADY_SUPERADMIN "already_superadmin" CONFLICT "The user is a superadmin already"
    NOT_SUPERADMIN "not_superadmin" CONFLICT "The user is not a superadmin"
    APPLICATION_EXISTS "application_exists" CONFLICT "The application exists already"
    APPLICATION_ARCHIVED "application_archived" CONFLICT "The application is archived"
    KEY_EXISTS "key_exists" CONFLICT "The key exists already"
    KEY_REVOKED "key_revoked" CONFLICT "The key has been revoked"
    KEY_EXPIRED "key_expired" CONFLICT "The key has expired"
    TOO_MANY_KEYS "too_many_keys" CONFLICT "The application has as many keys as it can have"
    IDEMPOTENCY_KEY_REUSED "idempotency_key_reused" CONFLICT "The idempotency key was used for another request"
    EMAIL_TAKEN "email_taken" CONFLICT "There is an account with this address"
    LEVEL_IN_USE "level_in_use" CONFLICT "A policy is for the level"
    PROVIDER_IN_USE "provider_in_use" CONFLICT "A model is routed to the provider"
    CATALOGUE_FULL "catalogue_full" CONFLICT "The catalogue has as many of these as it can have"
    GRANT_EXISTS "grant_exists" CONFLICT "The grant exists already"
    TOO_MANY_GRANTS "too_many_grants" CONFLICT "The wallet has as many grants as it can have"
    ALLOWANCE_NOT_DUE "allowance_not_due" CONFLICT "There is nothing to be done for the allowance"
    EXECUTION_EXISTS "execution_exists" CONFLICT "The execution exists already"
    EXECUTION_ENDED "execution_ended" CONFLICT "The execution has ended"
    EXECUTION_NOT_DUE "execution_not_due" CONFLICT "The execution is not due to expire"
    CREDENTIAL_ELSEWHERE "credential_elsewhere" CONFLICT "The credential was given for another address"
    ANSWER_NOT_KEPT "answer_not_kept" CONFLICT "The answer to the idempotency key is not kept"
    KEY_EXHAUSTED "key_exhausted" CONFLICT "The call with the idempotency key came to nothing too often"
    EXECUTION_RUNNING "execution_running" CONFLICT "A call with the idempotency key is running"
    EXECUTION_ELSEWHERE "execution_elsewhere" CONFLICT "No instance that can be reached makes the call"
    // What the amounts and postings do not allow.
    UNKNOWN_ASSET "unknown_asset" UNPROCESSABLE_ENTITY "The asset is not registered"
    ASSET_MISMATCH "asset_mismatch" UNPROCESSABLE_ENTITY "The wallet holds another asset"
    INSUFFICIENT_FUNDS "insufficient_funds" UNPROCESSABLE_ENTITY "There is not enough available"
    BALANCE_OVERFLOW "balance_overflow" UNPROCESSABLE_ENTITY "The balance would be too large"
    POSTINGS_EMPTY "postings_empty" UNPROCESSABLE_ENTITY "A transaction needs postings"
    POSTINGS_TOO_MANY "postings_too_many" UNPROCESSABLE_ENTITY "A transaction has too many postings"
    POSTING_TO_SAME_WALLET "posting_to_same_wallet" UNPROCESSABLE_ENTITY "A posting leads from a wallet to itself"
    EXPIRY_WITHOUT_HOLD "expiry_without_hold" UNPROCESSABLE_ENTITY "Only a pending transaction expires"
    EXPIRY_IN_THE_PAST "expiry_in_the_past" UNPROCESSABLE_ENTITY "The expiry must be in the future"
    AMOUNTS_MISMATCH "amounts_mismatch" UNPROCESSABLE_ENTITY "There must be one amount per posting"
    SETTLEMENT_EXCEEDS_HOLD "settlement_exceeds_hold" UNPROCESSABLE_ENTITY "The settlement is more than is held"
    REVERSAL_EXCEEDS_ORIGINAL "reversal_exceeds_original" UNPROCESSABLE_ENTITY "The reversal is more than is left"
    NOTHING_TO_CHANGE "nothing_to_change" UNPROCESSABLE_ENTITY "The change changes nothing"
    NO_SCOPES "no_scopes" UNPROCESSABLE_ENTITY "A key needs a scope"
    TOO_MANY_ADDRESSES "too_many_addresses" UNPROCESSABLE_ENTITY "A key is bound to too many addresses"
    NEGATIVE_POLICY "negative_policy" UNPROCESSABLE_ENTITY "The amounts of a policy must not be negative"
    INVALID_TIMEOUT "invalid_timeout" UNPROCESSABLE_ENTITY "The times of a provider are not between a millisecond and an hour"
    INVALID_ROUTES "invalid_routes" UNPROCESSABLE_ENTITY "A model has no routes, too many, or one twice"
    NEGATIVE_RATE "negative_rate" UNPROCESSABLE_ENTITY "A rate must not be negative"
    RATE_TOO_HIGH "rate_too_high" UNPROCESSABLE_ENTITY "A rate is too high for its costs to be counted"
    UNKNOWN_TIME_ZONE "unknown_time_zone" UNPROCESSABLE_ENTITY "The time zone is not in the IANA database"
    SYSTEM_WALLET "system_wallet" UNPROCESSABLE_ENTITY "A system wallet has no allowance"
    MODEL_UNPRICED "model_unpriced" UNPROCESSABLE_ENTITY "The model has no price"
    PRICE_ASSET_MISMATCH "price_asset_mismatch" UNPROCESSABLE_ENTITY "The price is in another asset than the wallet"
    USAGE_TOO_LARGE "usage_too_large" UNPROCESSABLE_ENTITY "The usage is more than a call can have"
    TOO_MANY_ATTEMPTS "too_many_attempts" UNPROCESSABLE_ENTITY "The execution has too many attempts"
    // What a call of a model came to.
    ALLOWANCE_IN_DEBT "allowance_in_debt" PAYMENT_REQUIRED "The wallet owes something, and may use nothing until that is paid"
    ALLOWANCE_EXHAUSTED "allowance_exhausted" PAYMENT_REQUIRED "The wallet has too little for the call"
    INVALID_PARAMETER "invalid_parameter" BAD_REQUEST "A parameter of the call does not have its form"
    CALL_REFUSED "call_refused" UNPROCESSABLE_ENTITY "The request was refused, by the provider or before it was asked"
    TOO_MANY_CALLS_OF_TENANT "too_many_calls_of_tenant" TOO_MANY_REQUESTS "Too many calls of the tenant are running"
    PROVIDER_RATE_LIMITED "provider_rate_limited" TOO_MANY_REQUESTS "The provider is at its limit"
    NO_PROVIDER "no_provider" SERVICE_UNAVAILABLE "No provider of the model is switched on"
    PROVIDER_FAILED "provider_failed" BAD_GATEWAY "The provider failed"
    PROVIDER_TIMEOUT "provider_timeout" GATEWAY_TIMEOUT "The provider did not answer in time"
    // What is wrong on this side.
    HOLD_MISSING "hold_missing" INTERNAL_SERVER_ERROR "A hold is not where it should be"
    INTERNAL "internal" INTERNAL_SERVER_ERROR "Something went wrong here"
    OVERLOADED "overloaded" SERVICE_UNAVAILABLE "There is too much to do at the moment"
    TOO_MANY_CALLS "too_many_calls" SERVICE_UNAVAILABLE "Too many calls of models are running"
    UNAVAILABLE "unavailable" SERVICE_UNAVAILABLE "A server that is needed cannot be reached"
    READ_MODEL_LAGGING "read_model_lagging" SERVICE_UNAVAILABLE "The read model has not got there yet"
    TIMEOUT "timeout" GATEWAY_TIMEOUT "The answer took too long"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../../docs/API.md");

    #[test]
    fn the_guide_lists_every_code_with_its_status_and_nothing_else() {
        let listed: Vec<(&str, &str)> = GUIDE
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|');
                let name = cells.next()?.trim().strip_suffix('`')?;
                let status = cells.next()?.trim();
                status.parse::<u16>().ok().map(|_| (name, status))
            })
            .collect();
        let known: Vec<(&str, &str)> = ALL.iter().map(|code| (code.name, code.status.as_str())).collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn every_rejection_of_the_domain_has_a_code_here() {
        let sources = [
            include_str!("../../../domain/src/tenant/rejection.rs"),
            include_str!("../../../domain/src/wallet/rejection.rs"),
            include_str!("../../../domain/src/transaction/rejection.rs"),
            include_str!("../../../domain/src/user/rejection.rs"),
            include_str!("../../../domain/src/application/rejection.rs"),
            include_str!("../../../domain/src/catalogue/rejection.rs"),
            include_str!("../../../domain/src/allowance/rejection.rs"),
            include_str!("../../../domain/src/execution/rejection.rs"),
            include_str!("../../../commands/src/request/rejection.rs"),
        ];
        let mut found = 0;
        for line in sources.into_iter().flat_map(str::lines) {
            let Some((_, rest)) = line.split_once("=> \"") else { continue };
            let Some((name, _)) = rest.split_once('"') else { continue };
            assert!(Code::named(name).is_some(), "{name}");
            found += 1;
        }
        assert!(found > 70, "{found}");
    }

    #[test]
    fn a_code_is_listed_once() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
