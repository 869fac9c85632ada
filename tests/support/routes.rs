//! Every route of the served description, to be asked for by everybody that there is.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot read the description fails")]

use std::collections::BTreeMap;

use api::{Access, Rights, Role};
use domain::application::Scope;
use reqwest::Method;

use crate::server::{Answer, Client, send};

/// Who may do what, written down a second time, by hand and from what roles are for: the table of the program is not
/// asked, so that a mistake in it is found. The first line that fits a route decides, and a route that none fits is one of
/// which nobody has said who may.
///
/// The methods; where the address begins, or the whole of it behind `=`; the roles (`s`uperadmin, `o`wner, `a`dmin,
/// `m`ember, `v`iewer, audi`t`or) and the scopes of keys (`r`ead, aud`i`t, `t`ransact, ad`m`inister, e`x`ecute).
/// `self` is what belongs to whoever is signed in, and to no role.
type Pinned = (&'static str, &'static str, &'static str, &'static str);
static PINNED: &[Pinned] = &[
    // One's own.
    ("POST", "=/v1/auth/sign-out", "self", ""),
    ("POST", "=/v1/invitations/accept", "self", ""),
    ("GET PATCH DELETE", "=/v1/me", "self", ""),
    ("GET POST DELETE", "/v1/me/", "self", ""),
    // The platform.
    ("POST", "=/v1/tenants", "s or self", ""),
    ("GET", "/v1/tenants", "s", ""),
    ("GET POST DELETE", "/v1/users", "s", ""),
    ("GET PUT DELETE POST", "/v1/platform/", "s", ""),
    ("POST", "=/v1/tenant/suspend", "s", ""),
    ("POST", "=/v1/tenant/resume", "s", ""),
    // The tenant itself.
    ("POST", "=/v1/tenant/close", "so", ""),
    ("PATCH", "=/v1/tenant", "soa", "m"),
    ("GET", "=/v1/tenant", "soamvt", "r"),
    // Who is in, and with which keys: an auditor reads it too.
    ("GET", "/v1/members", "soat", ""),
    ("GET", "/v1/invitations", "soat", ""),
    ("GET", "/v1/applications", "soat", ""),
    ("PATCH DELETE", "/v1/members", "soa", ""),
    ("POST DELETE", "/v1/invitations", "soa", ""),
    ("POST PATCH DELETE", "/v1/applications", "soa", ""),
    // What was done, and who looked.
    ("GET", "=/v1/audit", "soat", "i"),
    ("GET", "=/v1/events", "soat", "i"),
    ("GET", "=/v1/access-log", "soat", "i"),
    // Money, and calls that cost it.
    ("POST", "/v1/transactions", "soam", "t"),
    ("POST", "=/v1/executions/import", "soa", "m"),
    ("POST", "/v1/executions", "soam", "x"),
    // What money moves between, and on what terms.
    ("POST", "/v1/assets", "soa", "m"),
    ("POST", "/v1/wallets", "soa", "m"),
    ("PUT DELETE", "/v1/levels", "soa", "m"),
    ("PUT DELETE", "/v1/policies", "soa", "m"),
    ("PUT", "/v1/metering", "soa", "m"),
    ("PUT POST", "/v1/allowances", "soa", "m"),
    ("PUT DELETE", "/v1/providers", "soa", "m"),
    ("PUT DELETE", "/v1/models", "soa", "m"),
    ("PUT POST", "/v1/prices", "soa", "m"),
    // The books.
    ("GET", "=/v1/assets", "soamvt", "r"),
    ("GET", "/v1/wallets", "soamvt", "r"),
    ("GET", "/v1/transactions", "soamvt", "r"),
    ("GET", "=/v1/balances", "soamvt", "r"),
    ("GET", "=/v1/trial-balance", "soamvt", "r"),
    ("GET", "/v1/levels", "soamvt", "r"),
    ("GET", "/v1/policies", "soamvt", "r"),
    ("GET", "=/v1/metering", "soamvt", "r"),
    ("GET", "/v1/allowances", "soamvt", "r"),
    ("GET", "/v1/providers", "soamvt", "r"),
    ("GET", "/v1/models", "soamvt", "r"),
    ("GET", "=/v1/prices", "soamvt", "r"),
    ("GET", "/v1/executions", "soamvt", "r"),
    ("GET", "/v1/analytics/", "soamvt", "r"),
];

/// A route of the description, with something plausible in the place of what is variable.
pub struct Route {
    pub method: Method,
    pub pattern: String,
    pub path: String,
    pub access: Access,
}

impl Route {
    /// What is written down of it.
    fn pinned(&self) -> &'static Pinned {
        let fits = |(methods, begins, ..): &&Pinned| {
            let there = match begins.strip_prefix('=') {
                Some(whole) => self.pattern == whole,
                None => self.pattern.starts_with(begins),
            };
            there && methods.split(' ').any(|method| method == self.method.as_str())
        };
        let found = PINNED.iter().find(fits);
        found.unwrap_or_else(|| panic!("nobody has said who may {} {}", self.method, self.pattern))
    }

    /// Whether it is for whoever is signed in, for what is their own.
    pub fn is_ones_own(&self) -> bool {
        self.pinned().2.ends_with("self")
    }

    /// Whether these rights give it, as it is written down here. The table of the program has to say the same.
    pub fn lets_in(&self, rights: &Rights) -> bool {
        let (_, _, roles, scopes) = self.pinned();
        let roles = roles.trim_end_matches("self").trim_end_matches(" or ");
        let let_in = match rights {
            Rights::Role(role) => roles.contains(match role {
                Role::Superadmin => 's',
                Role::Owner => 'o',
                Role::Admin => 'a',
                Role::Member => 'm',
                Role::Viewer => 'v',
                Role::Auditor => 't',
            }),
            Rights::Scopes(given) => given.iter().any(|scope| {
                scopes.contains(match scope {
                    Scope::Read => 'r',
                    Scope::Audit => 'i',
                    Scope::Transact => 't',
                    Scope::Administer => 'm',
                    Scope::Execute => 'x',
                })
            }),
            Rights::Own => self.is_ones_own(),
        };
        let what = format!("{} {} for {rights:?}", self.method, self.pattern);
        assert_eq!(self.access.allows(rights), let_in, "the table of the program says otherwise: {what}");
        let_in
    }
}

/// All routes that need a credential. Each that is described must be in the table of permissions, and the table must have
/// no other.
pub async fn guarded(client: &Client) -> Vec<Route> {
    let description = client.get("/openapi.json").await.body;
    let mut table: BTreeMap<(String, String), Access> = api::permissions()
        .map(|(method, pattern, access)| ((method.to_owned(), pattern.to_owned()), access))
        .collect();
    let mut routes = Vec::new();
    for (pattern, item) in description["paths"].as_object().expect("the description has paths") {
        for method in item.as_object().expect("a path has methods").keys() {
            let method = method.to_uppercase();
            let access = table.remove(&(method.clone(), pattern.clone()));
            let access = access.unwrap_or_else(|| panic!("{method} {pattern} has no line in the table"));
            let method = Method::from_bytes(method.as_bytes()).expect("a method has its form");
            routes.push(Route { method, path: filled(pattern), pattern: pattern.clone(), access });
        }
    }
    assert!(table.is_empty(), "not described: {table:?}");
    // Those that SDKs call answer in the shapes of providers; tests/calls/ asks for them.
    routes.retain(|route| route.access != Access::Public && route.pattern.starts_with("/v1/"));
    assert!(routes.len() > 50, "the description is not whole");
    let unused = PINNED.iter().find(|line| !routes.iter().any(|route| std::ptr::eq(route.pinned(), *line)));
    assert_eq!(unused, None, "a line about routes that there are not");
    routes
}

fn filled(pattern: &str) -> String {
    let fill = |segment: &str| match segment {
        "{slug}" => "acme".to_owned(),
        "{path}" => "nowhere".to_owned(),
        "{provider}" => "nobody".to_owned(),
        variable if variable.starts_with('{') => "0199a3c4-5f0e-7d5b-9c2e-0f6d3c1b2a90".to_owned(),
        fixed => fixed.to_owned(),
    };
    pattern.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Asks in such a way that whoever is let in changes nothing: what is sent is no JSON.
pub async fn ask(client: &Client, route: &Route, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(route.method.clone(), &route.path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let writes = route.method != Method::GET;
    send(if writes { request.header("Content-Type", "application/json").body("{") } else { request }).await
}

/// Asserts that the answer shows that the caller was let in, or that they were not.
pub fn expect(answer: &Answer, let_in: bool, who: &str, route: &Route) {
    let code = answer.body["code"].as_str().unwrap_or_default();
    let what = format!("{who}: {} {} -> {} {code}", route.method, route.pattern, answer.status);
    if let_in {
        assert!(!matches!(answer.status, 401 | 403 | 429) && answer.status < 500, "{what}");
    } else {
        assert_eq!((answer.status, code), (403, "forbidden"), "{what}");
    }
}
