//! The server.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{self, ContentType};
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, HttpServer};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::observe::observe;
use crate::tls::Certificate;
use crate::walls::{cors, guard};
use crate::{openapi, problem, routes};

/// How long requests in flight may take once the server is told to stop, in seconds.
const GRACE: u64 = 10;

/// How the API is to be served.
#[derive(Debug)]
pub struct Service {
    /// How many threads answer requests.
    pub workers: usize,
    /// What the server shows for itself; without one it speaks plain HTTP.
    pub tls: Option<Certificate>,
}

/// Serves the API on `listener`. The server runs once it is polled; its handle stops it.
///
/// # Errors
/// Where the listener or the certificate cannot be used.
pub fn serve(app: App, listener: TcpListener, service: &Service) -> std::io::Result<Server> {
    let app = Data::new(app);
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .wrap(Compress::default())
            .wrap(from_fn(guard))
            .wrap(Condition::new(
                !app.walls.settings().cors_origins.is_empty(),
                cors(&app.walls.settings().cors_origins),
            ))
            .wrap(from_fn(observe))
            .configure(routes::register)
            .configure(documentation)
            .default_service(web::to(routes::nothing_here))
    });
    let server = server
        .workers(service.workers.max(1))
        // Who hangs up has given the request up: it is not begun, where it was not.
        .h1_allow_half_closed(false)
        // Parts of a stream go out when they are there: the last ones waited 40 ms for an acknowledgement otherwise.
        .tcp_nodelay(true)
        .disable_signals()
        .shutdown_timeout(GRACE)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(10));
    let server = match &service.tls {
        Some(certificate) => {
            let config = certificate.server_config().map_err(std::io::Error::other)?;
            server.listen_rustls_0_23(listener, config)?
        }
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// The description and its pages. Everything they need is in the program.
fn documentation(config: &mut ServiceConfig) {
    let ui = Config::from("/openapi.json").validator_url("none").persist_authorization(false);
    config
        .route("/openapi.json", web::get().to(description))
        .route("/docs", web::get().to(to_documentation))
        .route("/docs/problems", web::get().to(problem::page))
        .service(SwaggerUi::new("/docs/{_:.*}").config(ui));
}

async fn description() -> HttpResponse {
    match openapi().to_json() {
        Ok(text) => HttpResponse::Ok().insert_header(ContentType::json()).body(text),
        Err(error) => HttpResponse::from_error(problem::Problem::internal(error)),
    }
}

async fn to_documentation() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}
