//! The gallery of mistakes, which the page replays. Its contents are made elsewhere, on the first request.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::task::spawn_blocking;

/// Makes the page of a mistake by its name, or the index; `None` if there is no such page.
pub type GalleryPages = fn(&str) -> Option<Arc<str>>;

/// The routes of the gallery: `/mistakes/index.json`, `/mistakes/1.json` and so on. `None` if there is no gallery.
pub fn routes(gallery: Option<GalleryPages>) -> Router {
    match gallery {
        Some(gallery) => Router::new().route("/mistakes/{file}", get(move |Path(file)| serve(gallery, file))),
        None => Router::new(),
    }
}

async fn serve(gallery: GalleryPages, file: String) -> Response {
    // Making all of them takes too long for an async task.
    let page = spawn_blocking(move || file.strip_suffix(".json").and_then(gallery)).await;
    match page {
        Ok(Some(page)) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
            (headers, page.to_string()).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
