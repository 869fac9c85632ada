"""What Schemathesis has to know of this API to get anywhere: a credential that lasts, and words that lead somewhere.

Without this, whatever the tests create would be asked for under ids that do not exist, and the first sign-out would be
the last request that means anything. Nothing here changes an answer or hides one, but for `filter_failure`, which says
for each kind of failure that it drops why it is none.
"""

import itertools
import json
import os
import time
import urllib.error
import urllib.request

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
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error
    return json.loads(text) if text else None


class Person:
    """Somebody with a session, renewed when the tests have ended it."""

    def __init__(self, email):
        self.email = email
        self.session = None

    def sign_in(self):
        self.session = ask("POST", "/v1/auth/sign-in", body={"email": self.email, "password": PASSWORD})

    def token(self):
        if self.session is None:
            self.sign_in()
        return self.session["access_token"]


class Spares:
    """People and tenants that a test may use up: the next one takes the place of one that is gone."""

    def __init__(self):
        self.emails = iter(WORLD["spares"][ROLE])
        self.person = None
        self.tenant = None

    def somebody(self):
        if self.person is None:
            self.person = Person(next(self.emails))
        return self.person

    def somewhere(self):
        if self.tenant is None:
            slug = f"{ROLE}-{next(serial)}"
            ask("POST", "/v1/tenants", MAIN.token(), {"slug": slug, "name": "To be used up"})
            self.tenant = slug
        return self.tenant


# Whoever does this is done for.
USES_UP_A_PERSON = {
    "POST /v1/auth/sign-out",
    "DELETE /v1/me",
    "POST /v1/me/password",
    "POST /v1/me/second-factor",
    "POST /v1/me/second-factor/confirm",
    "DELETE /v1/me/second-factor",
    "DELETE /v1/me/sessions/{id}",
}
# What is asked of a tenant that nobody needs afterwards.
USES_UP_A_TENANT = {"POST /v1/tenant/close", "POST /v1/tenant/suspend", "POST /v1/tenant/resume"}

MAIN = Person(WORLD["people"][ROLE]) if ROLE in WORLD["people"] else None
SPARES = Spares()
seen = {}
position = None


def credential(label):
    """The token and the tenant for an operation."""
    if ROLE == "key":
        return WORLD["key"], None
    if label in USES_UP_A_PERSON:
        return SPARES.somebody().token(), None
    if label in USES_UP_A_TENANT and ROLE in ("owner", "operator"):
        return MAIN.token(), SPARES.somewhere()
    return MAIN.token(), WORLD["tenant"]


if ROLE != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Credentials:
        """Signs every request in."""

        def get(self, case, context):
            return credential(case.operation.label)

        def set(self, case, data, context):
            token, tenant = data
            case.headers["Authorization"] = f"Bearer {token}"
            if tenant:
                case.headers["X-Tenant-Slug"] = tenant


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_call(context, case, kwargs):
    global position
    if not is_positive(case) or ROLE == "nobody":
        return
    # Read models follow the journal a moment later, and `after` is how a program asks for what it has just written.
    takes_after = any(parameter.name == "after" for parameter in case.operation.query)
    if case.method == "GET" and takes_after and position and case.operation.path != "/v1/events":
        case.query["after"] = position


@schemathesis.hook
def after_call(context, case, response):
    global position
    label, status = case.operation.label, response.status_code
    if case.method.upper() == case.operation.method.upper():
        seen.setdefault(label, {}).setdefault(str(status), 0)
        seen[label][str(status)] += 1
        with open(TALLY, "w") as out:
            json.dump(seen, out)
    if status < 300:
        said = response.headers.get("counterfoil-position")
        if said and label not in USES_UP_A_TENANT and label not in USES_UP_A_PERSON:
            position = said[0]
        if label in USES_UP_A_PERSON:
            SPARES.person = None
        if label in USES_UP_A_TENANT:
            SPARES.tenant = None


# What a form cannot say: whether the request fits what the ledger holds at that moment, or its fields each other.
DEPENDS_ON_THE_STATE = {
}


def problem_code(response):
    try:
        return json.loads(response.content).get("code")
    except ValueError:
        return None


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not (type(failure).__name__ == "RejectedPositiveData" and problem_code(response) in DEPENDS_ON_THE_STATE)
