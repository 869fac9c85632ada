//! Which tenant a request names besides its credential.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use domain::{DomainName, Slug};

use crate::problem::{Problem, code};
use crate::walls::WallSettings;

const TENANT: HeaderName = HeaderName::from_static("x-tenant-slug");

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// No tenant.
    Nothing,
    /// The one called so.
    Slug(Slug),
    /// The one with this domain, where there is one.
    Domain(DomainName),
}

/// The tenant that a header names, or else the host that was asked. What cannot be a tenant's name is refused like the
/// name of a tenant that there is not, or that is another's: the answer does not tell them apart.
pub fn named(request: &HttpRequest, settings: &WallSettings) -> Result<Named, Problem> {
    let mut given = request.headers().get_all(&TENANT);
    if let Some(value) = given.next() {
        let slug = value.to_str().ok().and_then(|text| Slug::new(text).ok());
        let alone = given.next().is_none();
        return slug.filter(|_| alone).map(Named::Slug).ok_or_else(not_yours);
    }
    let Some(domain) = &settings.domain else { return Ok(Named::Nothing) };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host =
        host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    if host == *domain {
        return Ok(Named::Nothing);
    }
    match host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.')) {
        Some(label) => Slug::new(label).map(Named::Slug).map_err(|_| not_yours()),
        None => Ok(DomainName::new(&host).map_or(Named::Nothing, Named::Domain)),
    }
}

/// The credential is not for the tenant that was named, or there is no such tenant.
pub fn not_yours() -> Problem {
    Problem::new(code::TENANT_NOT_YOURS, "the credential is not for this tenant")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::walls::tests::settings;

    fn of(headers: &[(&str, &str)], domain: Option<&str>) -> Result<String, &'static str> {
        let request = TestRequest::get();
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        let settings = WallSettings { domain: domain.map(str::to_owned), ..settings() };
        match named(&request.to_http_request(), &settings) {
            Ok(Named::Nothing) => Ok(String::new()),
            Ok(Named::Slug(slug)) => Ok(slug.to_string()),
            Ok(Named::Domain(domain)) => Ok(domain.to_string()),
            Err(problem) => Err(problem.code.name),
        }
    }

    #[test]
    fn a_header_names_a_tenant_once() {
        assert_eq!(of(&[], None).unwrap(), "");
        assert_eq!(of(&[("X-Tenant-Slug", "acme")], None).unwrap(), "acme");
        for bad in ["", "Acme", "acme ", "acme,bolt", "@platform", "../acme", "acme\u{e9}"] {
            assert_eq!(of(&[("X-Tenant-Slug", bad)], None), Err("tenant_not_yours"), "{bad}");
        }
        let two = [("X-Tenant-Slug", "acme"), ("X-Tenant-Slug", "bolt")];
        assert_eq!(of(&two, None), Err("tenant_not_yours"));
    }

    #[test]
    fn a_host_names_a_tenant_where_a_domain_is_configured() {
        let host = |host: &str| of(&[("Host", host)], Some("ledger.example"));
        assert_eq!(of(&[("Host", "acme.ledger.example")], None).unwrap(), "");
        assert_eq!(host("ledger.example:8080").unwrap(), "");
        assert_eq!(host("Acme.Ledger.Example:8080").unwrap(), "acme");
        assert_eq!(host("acme.ledger.example.").unwrap(), "acme");
        assert_eq!(host("a.b.ledger.example"), Err("tenant_not_yours"));
        assert_eq!(host("evilledger.example").unwrap(), "evilledger.example");
        assert_eq!(host("books.acme.com").unwrap(), "books.acme.com");
        assert_eq!(host("127.0.0.1:8080").unwrap(), "");
        assert_eq!(host("[::1]:8080").unwrap(), "");
        let both = [("Host", "acme.ledger.example"), ("X-Tenant-Slug", "bolt")];
        assert_eq!(of(&both, Some("ledger.example")).unwrap(), "bolt");
    }
}
