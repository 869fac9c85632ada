//! The page that the `type` of a problem leads to.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;

use super::ALL;

/// Answers with all codes as a page, one anchor each.
pub async fn page() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::html()).body(html())
}

fn html() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Problems</title>\
         <h1>Problems</h1><table><thead><tr><th>code</th><th>status</th><th>meaning</th></tr></thead><tbody>",
    );
    for code in ALL {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "<tr id=\"{0}\"><td><code>{0}</code></td><td>{1}</td><td>{2}</td></tr>",
            code.name,
            code.status.as_str(),
            code.title
        );
    }
    page.push_str("</tbody></table></html>");
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_type_of_problem_has_its_anchor() {
        let page = super::html();
        for code in super::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.name)), "{}", code.name);
        }
    }
}
