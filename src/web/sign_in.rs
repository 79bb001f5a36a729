//! Signing in and out: one of the API's tokens comes in by a form, a session's cookie goes out. The token itself is
//! kept nowhere. Without tokens in the settings everybody is in already.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use maud::{Markup, html};
use serde::Deserialize;

use super::door::{Door, own_path};
use super::layout::{Frame, page};
use super::session;

#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

#[derive(Deserialize)]
pub(super) struct Given {
    token: String,
    #[serde(default)]
    back: String,
}

/// Where to sign in, and come back from.
pub(super) fn path(back: &str) -> String {
    let escaped: String = own_path(back)
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("/sign-in?back={escaped}")
}

pub(super) async fn form(Query(Back { back }): Query<Back>) -> Markup {
    shown(&back, false)
}

pub(super) async fn sign_in(State(door): State<Door>, Form(given): Form<Given>) -> Response {
    let token = given.token.trim();
    let known = door.tokens.find(token.as_bytes()).and_then(|_| session::begin(token, Utc::now()));
    match known {
        Some(session) => {
            let cookie = (header::SET_COOKIE, door.cookie(Some(&session)));
            ([cookie], Redirect::to(own_path(&given.back))).into_response()
        }
        None => (StatusCode::FORBIDDEN, shown(&given.back, true)).into_response(),
    }
}

/// Takes the cookie away. A copy of it would go on until its time is over, or its token is taken out of the settings.
pub(super) async fn sign_out(State(door): State<Door>) -> Response {
    ([(header::SET_COOKIE, door.cookie(None))], Redirect::to("/sign-in")).into_response()
}

fn shown(back: &str, wrong: bool) -> Markup {
    page(
        &Frame::plain("Sign in"),
        html! {
            div.narrow {
                h1 { "Sign in" }
                p { "Use one of the tokens of " code { "api.tokens" } ". What you may see and do is the token's." }
                @if wrong { p.notice.bad role="alert" { "This is none of the tokens. Nothing was stored." } }
                form.stacked method="post" action="/sign-in" {
                    input type="hidden" name="back" value=(own_path(back));
                    label for="token" { "Token" }
                    input id="token" name="token" type="password" required autofocus autocomplete="current-password"
                        maxlength="500";
                    button.primary type="submit" { "Sign in" }
                }
                p.muted { "You stay signed in for 12 hours in this browser." }
            }
        },
    )
}
