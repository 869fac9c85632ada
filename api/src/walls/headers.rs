//! What a browser is told about every answer.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The API answers with data: nothing in it is to be run, shown in a frame, or loaded.
const DATA: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
/// The pages under `/docs` bring their own scripts and styles, and ask this server alone.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
/// A year.
const INSIST_ON_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

const PLAIN: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
];

/// Adds what every answer says: `page` where it is one of the documentation's, `tls` where callers come by TLS.
pub fn harden(headers: &mut HeaderMap, page: bool, tls: bool) {
    for (name, value) in PLAIN {
        headers.insert(name, value);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, if page { PAGES } else { DATA });
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, INSIST_ON_TLS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_insisted_on_only_where_there_is_tls() {
        let said = |tls| {
            let mut headers = HeaderMap::new();
            harden(&mut headers, false, tls);
            headers.contains_key(header::STRICT_TRANSPORT_SECURITY)
        };
        assert!(said(true) && !said(false));
    }
}
