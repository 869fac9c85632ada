//! The server.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{self, ContentType};
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, HttpServer};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::observe::observe;
use crate::{openapi, problem, routes};

/// How long requests in flight may take once the server is told to stop, in seconds.
const GRACE: u64 = 10;

/// Serves the API on `listener` with this many threads. The server runs once it is polled; its handle stops it.
///
/// # Errors
/// Where the listener cannot be used.
pub fn serve(app: App, listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    let app = Data::new(app);
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .wrap(Compress::default())
            .wrap(from_fn(observe))
            .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .configure(routes::register)
            .configure(documentation)
            .default_service(web::to(routes::nothing_here))
    });
    let server = server
        .workers(workers.max(1))
        // Who hangs up has given the request up: it is not begun, where it was not.
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(GRACE)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(10))
        .listen(listener)?
        .run();
    Ok(server)
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
