"""What Schemathesis has to know of this API to get anywhere: a credential that lasts, and words that lead somewhere.

Without this, whatever the tests create would be asked for under ids that do not exist, and the first sign-out would be
the last request that means anything. Nothing here changes an answer or hides one, but for `filter_failure`, which says
for each kind of failure that it drops why it is none.
"""

import base64
import hmac
import itertools
import json
import os
import pathlib
import re
import time
import urllib.error
import urllib.request
import uuid

import schemathesis

BASE = os.environ["API_BASE"]
ROLE = os.environ["API_ROLE"]
WORLD = json.loads(os.environ["API_WORLD"])
TALLY = os.environ["API_TALLY"]
PASSWORD = WORLD["password"]

serial = itertools.count(1)


def ask(method, path, token=None, body=None, **headers):
    """Asks the API beside the tests; an answer that is no success is an error."""
    headers = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            said = answer.headers.get("Counterfoil-Position")
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error
    if said and headers.get("X-Tenant-Slug") == WORLD["tenant"]:
        positions[WORLD["tenant"]] = said
    return json.loads(text) if text else None


class Person:
    """Somebody with a session."""

    def __init__(self, email):
        self.email = email
        self.session = None

    def sign_in(self):
        self.session = ask("POST", "/v1/auth/sign-in", body={"email": self.email, "password": PASSWORD})
        return self.session

    def token(self):
        return (self.session or self.sign_in())["access_token"]

    def id(self):
        return (self.session or self.sign_in())["user"]

    def with_second_factor(self):
        """Turns the second factor on; gives back a recovery code."""
        begun = ask("POST", "/v1/me/second-factor", self.token(), {"password": PASSWORD})
        confirmed = ask("POST", "/v1/me/second-factor/confirm", self.token(), {"code": totp(begun["secret"])})
        return confirmed["recovery_codes"][0]


def totp(secret):
    """The six digits of RFC 6238 at this moment."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, int(time.time() // 30).to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return f"{int.from_bytes(digest[at:at + 4], 'big') % (1 << 31) % 1000000:06}"


def mailed(address):
    """The token of the last mail to somebody."""
    for _ in range(100):
        for letter in sorted(pathlib.Path(WORLD["mail"]).glob("*.eml"), reverse=True):
            text = letter.read_text()
            token = re.search(r"^The token alone.*\r?\n\r?\n(\S+)", text, re.MULTILINE)
            if f"To: {address}" in text and token:
                return token.group(1)
        time.sleep(0.1)
    raise RuntimeError(f"no mail came for {address}")


class Spares:
    """People and tenants that a test may use up: the next one takes the place of one that is gone."""

    def __init__(self):
        self.emails = iter(WORLD["spares"].get(ROLE, []))
        self.person = None
        self.tenant = None

    def somebody(self):
        if self.person is None:
            self.person = Person(next(self.emails))
        return self.person

    def a_member(self):
        """Somebody who was invited and has come."""
        person = self.somebody()
        ask("POST", "/v1/invitations/accept", person.token(), {"token": self.invited(person)})
        return person

    def invited(self, person):
        in_tenant("POST", "/v1/invitations", {"email": person.email, "role": "viewer"})
        # The mail may be there before the read model knows of the invitation.
        in_tenant("GET", f"/v1/invitations?limit=1&after={positions[WORLD['tenant']]}")
        return mailed(person.email)

    def somewhere(self):
        if self.tenant is None:
            self.tenant = f"{ROLE}-{next(serial)}"
            ask("POST", "/v1/tenants", OWNER.token(), {"slug": self.tenant, "name": "To be used up"})
        return self.tenant


# Whoever does this is done for.
USES_UP_A_PERSON = {
    "POST /v1/auth/sign-out",
    "POST /v1/auth/refresh",
    "DELETE /v1/me",
    "POST /v1/me/password",
    "POST /v1/me/second-factor",
    "POST /v1/me/second-factor/confirm",
    "DELETE /v1/me/second-factor",
    "DELETE /v1/me/sessions/{id}",
    "DELETE /v1/me/tenants/{slug}",
    "POST /v1/invitations/accept",
}
# The same of somebody else.
USES_UP_ANOTHER = {
    "POST /v1/auth/second-factor",
    "POST /v1/auth/password/reset",
    "PATCH /v1/members/{user}",
    "DELETE /v1/members/{user}",
    "DELETE /v1/users/{id}",
    "POST /v1/users/{id}/suspend",
    "POST /v1/users/{id}/resume",
}
# What is for operators of the platform alone.
FOR_OPERATORS = {
    "DELETE /v1/users/{id}",
    "POST /v1/users/{id}/suspend",
    "POST /v1/users/{id}/resume",
    "POST /v1/tenant/resume",
}
# What is asked of a tenant that nobody needs afterwards.
USES_UP_A_TENANT = {"POST /v1/tenant/close", "POST /v1/tenant/suspend", "POST /v1/tenant/resume"}

# What is about people or about all tenants has its positions elsewhere.
OF_NO_TENANT = ("/v1/platform/", "/v1/auth/", "/v1/me", "/v1/users", "/v1/tenants", "/v1/invitations/accept")

OWNER = Person(WORLD["people"]["owner"])
MAIN = OWNER if ROLE in ("owner", "key") else Person(WORLD["people"].get(ROLE, ""))
SPARES = Spares()
seen = {}
issued = set()
positions = {}
calls = {}


def in_tenant(method, path, body=None):
    """Asks as the owner, in the tenant that lasts."""
    return ask(method, path, OWNER.token(), body, X_Tenant_Slug=WORLD["tenant"])


def credential(label):
    """The token and the tenant for an operation."""
    if ROLE == "key":
        return WORLD["key"], None
    if label in USES_UP_A_PERSON and WORLD["spares"].get(ROLE):
        return SPARES.somebody().token(), None
    if label in USES_UP_A_TENANT and ROLE in ("owner", "operator"):
        return MAIN.token(), SPARES.somewhere()
    return MAIN.token(), WORLD["tenant"]


def sign(case):
    token, tenant = credential(case.operation.label)
    case.headers["Authorization"] = f"Bearer {token}"
    issued.add(case.headers["Authorization"])
    if tenant:
        case.headers["X-Tenant-Slug"] = tenant


if ROLE != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Credentials:
        """Signs every request in."""

        def get(self, case, context):
            return True

        def set(self, case, data, context):
            sign(case)


def posting(**more):
    """Between wallets of its own: the tests freeze and close whatever they hear of."""
    n = next(serial)
    return {
        "postings": [{"from": f"@world:{n}", "to": f"till:{n}", "amount": "5", "asset": "USD"}],
        "open_wallets": True,
        "pending": False,
        "expires_at": None,
        "reference": None,
        **more,
    }


def a_transaction(pending):
    return {"id": in_tenant("POST", "/v1/transactions", posting(pending=pending))["id"]}


def a_wallet(frozen=False):
    path = f"wallets:{ROLE}:{next(serial)}"
    in_tenant("POST", "/v1/wallets", {"path": path, "asset": "USD"})
    if frozen:
        in_tenant("POST", f"/v1/wallets/{path}/freeze")
    return {"path": path}


def an_application():
    return {"id": in_tenant("POST", "/v1/applications", {"name": f"Checkout {next(serial)}"})["id"]}


def a_key():
    at = an_application()
    made = in_tenant("POST", f"/v1/applications/{at['id']}/keys", {"scopes": ["read"]})
    return {**at, "key": made["id"]}


def a_new_address():
    address = f"new-{ROLE}-{next(serial)}@example.com"
    ask("POST", "/v1/auth/sign-up", body={"email": address, "password": PASSWORD, "name": "New"})
    return {"token": mailed(address)}


def a_forgotten_password():
    address = SPARES.somebody().email
    ask("POST", "/v1/auth/password/forgot", body={"email": address})
    return {"token": mailed(address), "password": f"{PASSWORD} and {next(serial)}"}


def a_second_step():
    code = SPARES.somebody().with_second_factor()
    return {"token": SPARES.somebody().sign_in()["second_factor_token"], "code": None, "recovery_code": code}


def a_first_code():
    begun = ask("POST", "/v1/me/second-factor", SPARES.somebody().token(), {"password": PASSWORD})
    return {"code": totp(begun["secret"])}


def another_session():
    SPARES.somebody().token()
    return {"id": Person(SPARES.somebody().email).sign_in()["session"]}


def a_suspended_user():
    operator = Person(WORLD["people"]["operator"])
    user = SPARES.somebody().id()
    ask("POST", f"/v1/users/{user}/suspend", operator.token(), {"reason": "to be resumed"})
    return {"id": user}


def suspend_the_tenant():
    operator = Person(WORLD["people"]["operator"])
    ask("POST", "/v1/tenant/suspend", operator.token(), {"reason": "to be resumed"}, X_Tenant_Slug=SPARES.somewhere())
    return {}


def a_name(what):
    return f"{what}-{ROLE}-{next(serial)}"


def a_level():
    name = a_name("level")
    in_tenant("PUT", f"/v1/levels/{name}", {"tier": 1})
    return {"name": name}


POLICY = {"mode": "monthly", "rollover": "none", "rollover_most": None, "amount": "20", "asset": "USD", "enforcement": "warn"}


def a_policy():
    at = {"kind": "level", **a_level()}
    in_tenant("PUT", f"/v1/policies/level/{at['name']}", POLICY)
    return at


def an_allowance():
    at = a_wallet()
    in_tenant("PUT", f"/v1/allowances/{at['path']}", {"level": None, "user": "customer-42"})
    return at


def a_provider():
    name = a_name("provider")
    in_tenant("PUT", f"/v1/providers/{name}", {"dialect": "openai", "base_url": "http://127.0.0.1:1"})
    return {"name": name}


def a_model():
    alias = a_name("model")
    in_tenant("PUT", f"/v1/models/{alias}", {"routes": ROUTES["routes"]})
    return {"alias": alias}


ROUTES = {"routes": [{"provider": "fake-openai", "model": "gpt-fake", "priority": 0, "weight": 1}]}
PRICE = {"provider": "fake-openai", "model": "gpt-priced", "asset": "USD", "rates": {"input": "1", "output": "2.5"}}


def asked(text):
    return [{"role": "user", "content": text}]


def an_execution():
    call = {"model": "gpt-fake", "wallet": WORLD["paying"], "input": {"messages": asked("hello")}}
    return {"id": in_tenant("POST", "/v1/executions", call)["id"]}


def a_running_call():
    """A call whose answer takes a while, and whose client has gone: it goes on without."""
    body = {"model": "gpt-fake", "stream": True, "messages": asked("[[words 200]] [[delay 100]]")}
    headers = {"Authorization": f"Bearer {OWNER.token()}", "X-Tenant-Slug": WORLD["tenant"],
               "Content-Type": "application/json", "Counterfoil-Wallet": WORLD["paying"]}
    request = urllib.request.Request(BASE + "/openai/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        id = answer.headers["counterfoil-execution"]
    # The read model follows a moment later.
    for _ in range(100):
        try:
            in_tenant("GET", f"/v1/executions/{id}")
            break
        except RuntimeError:
            time.sleep(0.05)
    return {"id": id}


# What makes a request one that can succeed: values for its path, and for its body.
IN_THE_PATH = {
    "GET /v1/levels/{name}": a_level,
    "DELETE /v1/levels/{name}": a_level,
    "GET /v1/policies/{kind}/{name}": a_policy,
    "PUT /v1/policies/{kind}/{name}": lambda: {"kind": "level", **a_level()},
    "DELETE /v1/policies/{kind}/{name}": a_policy,
    "GET /v1/allowances/{path}": an_allowance,
    "PUT /v1/allowances/{path}": a_wallet,
    "POST /v1/allowances/{path}/grants": a_wallet,
    "GET /v1/providers/{name}": a_provider,
    "PUT /v1/providers/{name}": lambda: {"name": a_name("provider")},
    "DELETE /v1/providers/{name}": a_provider,
    "GET /v1/models/{alias}": a_model,
    "PUT /v1/models/{alias}": lambda: {"alias": a_name("model")},
    "DELETE /v1/models/{alias}": a_model,
    "PUT /v1/platform/providers/{name}": lambda: {"name": "shared"},
    "GET /v1/platform/providers/{name}": lambda: {"name": "shared"},
    "PUT /v1/platform/models/{alias}": lambda: {"alias": "shared"},
    "GET /v1/platform/models/{alias}": lambda: {"alias": "shared"},
    "GET /v1/executions/{id}": an_execution,
    "POST /v1/executions/{id}/cancel": a_running_call,
    "POST /gemini/{version}/models/{call}": lambda: {"version": "v1beta", "call": "gemini-fake:generateContent"},
    "GET /v1/transactions/{id}": lambda: a_transaction(False),
    "POST /v1/transactions/{id}/settle": lambda: a_transaction(True),
    "POST /v1/transactions/{id}/release": lambda: a_transaction(True),
    "POST /v1/transactions/{id}/reverse": lambda: a_transaction(False),
    "GET /v1/wallets/{path}": a_wallet,
    "GET /v1/wallets/{path}/balance": a_wallet,
    "GET /v1/wallets/{path}/entries": a_wallet,
    "POST /v1/wallets/{path}/freeze": a_wallet,
    "POST /v1/wallets/{path}/unfreeze": lambda: a_wallet(frozen=True),
    "POST /v1/wallets/{path}/close": a_wallet,
    "POST /v1/wallets/{path}/adjust": a_wallet,
    "GET /v1/applications/{id}": an_application,
    "PATCH /v1/applications/{id}": an_application,
    "POST /v1/applications/{id}/archive": an_application,
    "GET /v1/applications/{id}/keys": an_application,
    "POST /v1/applications/{id}/keys": an_application,
    "POST /v1/applications/{id}/keys/{key}/rotate": a_key,
    "DELETE /v1/applications/{id}/keys/{key}": a_key,
    "DELETE /v1/me/sessions/{id}": another_session,
    "DELETE /v1/me/tenants/{slug}": lambda: SPARES.a_member() and {"slug": WORLD["tenant"]},
    "PATCH /v1/members/{user}": lambda: {"user": SPARES.a_member().id()},
    "DELETE /v1/members/{user}": lambda: {"user": SPARES.a_member().id()},
    "GET /v1/tenants/{slug}": lambda: {"slug": WORLD["tenant"]},
    "DELETE /v1/users/{id}": lambda: {"id": SPARES.somebody().id()},
    "POST /v1/users/{id}/suspend": lambda: {"id": SPARES.somebody().id()},
    "POST /v1/users/{id}/resume": a_suspended_user,
    "POST /v1/tenant/resume": suspend_the_tenant,
}
IN_THE_BODY = {
    "PUT /v1/policies/{kind}/{name}": lambda: POLICY,
    "PUT /v1/metering": lambda: {"time_zone": "Europe/Berlin"},
    "PUT /v1/allowances/{path}": lambda: {"level": None},
    "POST /v1/allowances/{path}/grants": lambda: {"amount": "5", "expires_at": None},
    "PUT /v1/providers/{name}": lambda: {"timeouts": None},
    "PUT /v1/models/{alias}": lambda: ROUTES,
    "PUT /v1/platform/providers/{name}": lambda: {"timeouts": None},
    "PUT /v1/platform/models/{alias}": lambda: ROUTES,
    "PUT /v1/platform/prices": lambda: PRICE,
    "POST /v1/platform/prices/import": lambda: {"prices": [PRICE]},
    "PUT /v1/prices": lambda: PRICE,
    "POST /v1/prices/import": lambda: {"prices": [PRICE]},
    "POST /v1/executions": lambda: {
        "model": "gpt-fake", "wallet": WORLD["paying"], "input": {"messages": asked("hello")}},
    "POST /v1/executions/import": lambda: {
        "wallet": WORLD["paying"], "provider": "fake-openai", "model": "gpt-fake", "usage": {"input": 3, "output": 4},
        "requested_at": "2026-01-31T10:00:00Z"},
    "POST /openai/v1/chat/completions": lambda: {"model": "gpt-fake", "messages": asked("hello")},
    "POST /openai/v1/responses": lambda: {"model": "gpt-fake", "input": "hello"},
    "POST /openai/v1/embeddings": lambda: {"model": "embed-fake", "input": "hello"},
    "POST /anthropic/v1/messages": lambda: {"model": "claude-fake", "max_tokens": 64, "messages": asked("hello")},
    "POST /anthropic/v1/messages/count_tokens": lambda: {"model": "claude-fake", "messages": asked("hello")},
    "POST /gemini/{version}/models/{call}": lambda: {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    "POST /v1/auth/sign-in": lambda: {"email": OWNER.email, "password": PASSWORD},
    "POST /v1/auth/refresh": lambda: {"refresh_token": SPARES.somebody().sign_in()["refresh_token"]},
    "POST /v1/auth/password/reset": a_forgotten_password,
    "POST /v1/auth/verify-email": a_new_address,
    "POST /v1/auth/second-factor": a_second_step,
    "POST /v1/me/password": lambda: {"current": PASSWORD, "new": f"{PASSWORD} and {next(serial)}"},
    "DELETE /v1/me": lambda: {"password": PASSWORD},
    "POST /v1/me/second-factor": lambda: {"password": PASSWORD},
    "POST /v1/me/second-factor/confirm": a_first_code,
    "DELETE /v1/me/second-factor": lambda: {"code": None, "recovery_code": SPARES.somebody().with_second_factor()},
    "PATCH /v1/members/{user}": lambda: {"role": "auditor"},
    "POST /v1/invitations/accept": lambda: {"token": SPARES.invited(SPARES.somebody())},
    "POST /v1/transactions": posting,
    "POST /v1/transactions/batch": lambda: {"transactions": [posting(), posting()]},
    "POST /v1/transactions/{id}/settle": lambda: {"amounts": ["4.50"]},
    "POST /v1/transactions/{id}/reverse": lambda: {"amounts": ["1.25"]},
    "POST /v1/wallets": lambda: {"path": f"wallets:{ROLE}:{next(serial)}", "asset": "USD", "minimum": None},
    "POST /v1/wallets/{path}/adjust": lambda: {"amount": "2.50", "against": None, "reference": None},
    "POST /v1/assets": lambda: {"code": f"{ROLE.upper()}-{next(serial)}"},
    "PATCH /v1/applications/{id}": lambda: {"name": f"Checkout {next(serial)}"},
    "POST /v1/applications/{id}/keys": lambda: {"expires_at": None, "addresses": []},
    "POST /v1/applications/{id}/keys/{key}/rotate": lambda: {"expires_at": None},
    "POST /v1/tenants": lambda: {"slug": f"{ROLE}-{next(serial)}", "owner": None},
    "PATCH /v1/tenant": lambda: {"name": f"Acme {next(serial)}"},
}


# The same of its query, and of its headers.
IN_THE_QUERY = {
    "GET /v1/analytics/burn-rate": lambda: {"wallet": WORLD["paying"]},
    "GET /v1/analytics/usage": lambda: {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    "GET /v1/analytics/latency": lambda: {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    "GET /v1/analytics/top-spenders": lambda: {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
}
IN_THE_HEADERS = {
    label: lambda: {"Counterfoil-Wallet": WORLD["paying"]} for label in IN_THE_BODY if label.startswith(("POST /openai", "POST /anthropic", "POST /gemini"))
}


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def lead_somewhere(case):
    """Puts words in that lead somewhere: at first, and then now and again."""
    label = case.operation.label
    if (label in USES_UP_A_PERSON or label in USES_UP_ANOTHER) and not WORLD["spares"].get(ROLE):
        return
    if label in FOR_OPERATORS and ROLE != "operator":
        return
    turn = calls[label] = calls.get(label, 0) + 1
    led = label in IN_THE_PATH or label in IN_THE_BODY or label in IN_THE_QUERY
    if turn > 2 and turn % 5 or not led:
        return
    if label in USES_UP_A_PERSON or label in USES_UP_ANOTHER:
        SPARES.person = None
    if label in USES_UP_A_TENANT:
        SPARES.tenant = None
    # In a chain of requests the path leads to what an earlier one has made.
    chained = case.meta.phase.name.value == "stateful"
    if chained and label in IN_THE_PATH:
        return
    if label in IN_THE_PATH:
        case.path_parameters = {**(case.path_parameters or {}), **IN_THE_PATH[label]()}
    if label in IN_THE_BODY and isinstance(case.body, dict):
        case.body = {**case.body, **IN_THE_BODY[label]()}
    if label in IN_THE_QUERY:
        case.query = {**(case.query or {}), **IN_THE_QUERY[label]()}
    if label in IN_THE_HEADERS:
        case.headers.update(IN_THE_HEADERS[label]())
        case.headers.pop("Counterfoil-User", None)
    # A check that spoils the credential wants to see it refused.
    if case.headers.get("Authorization") in issued:
        sign(case)


# What must not be done to those as whom the tests ask.
HARMS_A_PERSON = {
    "PATCH /v1/members/{user}",
    "DELETE /v1/members/{user}",
    "DELETE /v1/users/{id}",
    "POST /v1/users/{id}/suspend",
}


def spare_those_who_ask(case):
    """The tests reuse ids that they have heard of; those of the people of this run are replaced."""
    for name, value in (case.path_parameters or {}).items():
        if case.operation.label in HARMS_A_PERSON and value in WORLD["ids"]:
            case.path_parameters[name] = str(uuid.UUID(int=next(serial)))
        # What the calls of this run need stays as it is.
        if value in WORLD["lasting"] and case.method in ("PUT", "DELETE", "POST"):
            case.path_parameters[name] = a_name("other")


@schemathesis.hook
def before_call(context, case, kwargs):
    spare_those_who_ask(case)
    # A key that was used for another request is refused before anything else is looked at.
    if re.fullmatch("[!-~]{1,200}", str((case.headers or {}).get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] += f"-{next(serial)}"
    if not is_positive(case) or ROLE == "nobody" or case.method.upper() != case.operation.method.upper():
        return
    lead_somewhere(case)
    # Read models follow the journal a moment later, and `after` is how a program asks for what it has just written.
    position = positions.get(WORLD["tenant"])
    if position and case.method == "GET" and any(parameter.name == "after" for parameter in case.operation.query):
        if case.operation.path == "/v1/events":
            case.query.pop("after", None)
        else:
            case.query["after"] = position
            case.query.pop("wait_ms", None)


@schemathesis.hook
def after_call(context, case, response):
    label, status = case.operation.label, response.status_code
    if case.method.upper() == case.operation.method.upper():
        counts = seen.setdefault(label, {})
        counts[str(status)] = counts.get(str(status), 0) + 1
        with open(TALLY, "w") as out:
            json.dump(seen, out)
    if status >= 300:
        return
    said = response.headers.get("counterfoil-position")
    asked_in = response.request.headers.get("X-Tenant-Slug")
    if said and asked_in == WORLD["tenant"] and not case.operation.path.startswith(OF_NO_TENANT):
        positions[WORLD["tenant"]] = said[0]
    if label in USES_UP_A_PERSON or label in USES_UP_ANOTHER:
        SPARES.person = None
    if label in USES_UP_A_TENANT:
        SPARES.tenant = None


# A request can have its form and still not fit what the ledger holds at that moment, or a fact that no form says. These
# are the codes of that, all answered with 422; those that say that a form is wrong are not among them, so that a
# description that promises too much is found.
DEPENDS_ON_THE_STATE = {
    "amount_too_large": "how large is a matter of all digits together, 38 of them",
    "amount_too_precise": "how many digits is a matter of the asset",
    "amount_not_positive": "zero has many spellings",
    "amounts_mismatch": "how many is a matter of the transaction",
    "asset_mismatch": "what asset is a matter of the wallet",
    "expiry_in_the_past": "is a matter of the hour",
    "expiry_without_hold": "is a matter of another field",
    "insufficient_funds": "is a matter of the balance",
    "balance_overflow": "is a matter of the balance",
    "invalid_cursor": "cursors are opaque: an earlier answer gives them",
    "invalid_position": "a position of another tenant's partition is none",
    "nothing_to_change": "is a matter of how it is already",
    "one_time_token_invalid": "tokens come by mail",
    "posting_to_same_wallet": "is a matter of two fields",
    "reversal_exceeds_original": "is a matter of the transaction",
    "settlement_exceeds_hold": "is a matter of the transaction",
    "unknown_asset": "is a matter of what is registered",
    "invalid_metadata": "no NUL, 16 KiB, 8 levels, 300 digits at the most: no form says so",
    "weak_password": "what everybody tries first has no form",
    "model_unpriced": "is a matter of the catalogue",
    "price_asset_mismatch": "is a matter of the wallet",
    "unknown_time_zone": "the database of time zones has no form",
    "negative_policy": "an amount may be negative elsewhere",
    "negative_rate": "an amount may be negative elsewhere",
    "rate_too_high": "how high is a matter of all rates together",
    "usage_too_large": "a number may be larger elsewhere",
    "system_wallet": "is a matter of the path",
    "invalid_network": "bits behind the prefix have no form",
    "invalid_web_address": "ports, numbers of hosts and international names have no form",
}
# The same of codes that say elsewhere that a form is wrong.
DEPENDS_ON_MORE = {
    **{(f"GET /v1/analytics/{what}", "invalid_query"): "a window ends after it begins, and has a length at the most"
       for what in ("usage", "latency", "top-spenders")},
    ("PUT /v1/levels/{name}", "invalid_feature"): "the names of members have no form in the description",
    ("PUT /v1/models/{alias}", "invalid_routes"): "no route is there twice",
    ("PUT /v1/platform/models/{alias}", "invalid_routes"): "no route is there twice",
    ("PUT /v1/models/{alias}", "invalid_model"): "what stands between slashes has no form",
    ("PUT /v1/platform/models/{alias}", "invalid_model"): "what stands between slashes has no form",
    ("PUT /v1/policies/{kind}/{name}", "invalid_rollover"): "is a matter of the mode",
    **{(f"{method} /v1/policies/{{kind}}/{{name}}", f"invalid_{what}"): "the form of the name is a matter of the kind"
       for method in ("GET", "PUT", "DELETE") for what in ("level", "user", "path")},
    ("POST /v1/executions", "wallet_not_named"): "the application or a header may name it",
    ("POST /v1/executions", "call_refused"): "what providers take is theirs to say",
    ("POST /v1/executions", "unknown_field"): "what is said outside is not said inside",
    ("DELETE /v1/me", "missing_field"): "the password is needed where the account has one",
    ("POST /v1/me/password", "missing_field"): "the present password is needed where the account has one",
    ("POST /v1/me/second-factor", "missing_field"): "the password is needed where the account has one",
    ("POST /v1/auth/refresh", "missing_field"): "the token may come as a cookie instead",
    ("POST /v1/auth/second-factor", "missing_field"): "one of two fields is needed",
    ("POST /v1/auth/second-factor", "invalid_body"): "one of two fields is needed, not both",
    ("DELETE /v1/me/second-factor", "missing_field"): "one of two fields is needed",
    ("DELETE /v1/me/second-factor", "invalid_body"): "one of two fields is needed, not both",
}


def problem_code(response):
    try:
        return json.loads(response.content).get("code")
    except ValueError:
        return None


# Addresses whose bodies have the shapes of providers. We describe no more of them than that they are objects, because
# whatever a provider takes passes; so any object has its form, and few mean something.
OF_PROVIDERS = ("POST /openai/", "POST /anthropic/", "POST /gemini/")


def mailbox_is_too_long(case):
    """The part before the @ has 64 characters at the most (RFC 5321), dots included: no pattern says both."""
    email = case.body.get("email") if isinstance(case.body, dict) else None
    return isinstance(email, str) and len(email.split("@")[0]) > 64


def numbers(value):
    """All numbers in a document."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, (int, float)):
        yield value


def an_integer_with_a_point(case, code):
    """JSON Schema counts 2.0 among the integers. We take digits alone, so that no number is ever read as a float."""
    whole = any(isinstance(number, float) and number.is_integer() for number in numbers(case.body))
    return code in ("invalid_body", "invalid_scale") and whole


def refused_one_by_one(case, response):
    """A batch that is not atomic is answered for each transaction by itself: the refusal stands in its result."""
    if case.operation.label != "POST /v1/transactions/batch" or response.status_code != 200:
        return False
    return any(result["status"] >= 400 for result in json.loads(response.content)["results"])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops that a request was refused that has its form, and that one was not refused, where that has a reason."""
    if type(failure).__name__ == "AcceptedNegativeData":
        return not refused_one_by_one(case, response)
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code not in (400, 402, 422):
        return True
    if case.operation.label.startswith(OF_PROVIDERS):
        return False
    code = problem_code(response)
    excused = code in DEPENDS_ON_THE_STATE or (case.operation.label, code) in DEPENDS_ON_MORE
    excused = excused or an_integer_with_a_point(case, code)
    return not (excused or (code == "invalid_email" and mailbox_is_too_long(case)))
