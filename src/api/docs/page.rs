//! An OpenAPI document as one page of HTML: every operation with its parameters, body and answers, every schema with
//! its fields. Pure; all text is escaped.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Operations in the order in which a path shows them.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

pub(super) fn page(document: &Value) -> String {
    let title = escape(document["info"]["title"].as_str().unwrap_or_default());
    let about = escape(document["info"]["description"].as_str().unwrap_or_default());
    let mut body = String::new();
    let mut contents = String::new();
    for tag in list(&document["tags"]) {
        let name = tag["name"].as_str().unwrap_or_default();
        let _ = write!(contents, "<li><a href=\"#{0}\">{0}</a></li>", escape(name));
        let _ = write!(
            body,
            "<section id=\"{0}\"><h2>{0}</h2><p>{1}</p>",
            escape(name),
            text(&tag["description"])
        );
        for (path, item) in map(&document["paths"]) {
            for method in METHODS {
                let operation = &item[method];
                if list(&operation["tags"]).iter().any(|tag| tag == name) {
                    describe(&mut body, method, path, operation);
                }
            }
        }
        body.push_str("</section>");
    }
    body.push_str("<section id=\"schemas\"><h2>Schemas</h2>");
    for (name, schema) in map(&document["components"]["schemas"]) {
        let _ = write!(body, "<details id=\"schema-{0}\"><summary>{0}</summary>", escape(name));
        fields(&mut body, schema);
        body.push_str("</details>");
    }
    body.push_str("</section>");
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} API</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/docs/api.css\"></head><body><header><h1>{title} API</h1><p>{about}</p>\
         <p>For programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1)</p></header>\
         <nav aria-label=\"Contents\"><ul>{contents}<li><a href=\"#schemas\">Schemas</a></li></ul></nav>\
         <main>{body}</main></body></html>"
    )
}

fn describe(body: &mut String, method: &str, path: &str, operation: &Value) {
    let (path, method) = (escape(path), method.to_uppercase());
    let _ = write!(body, "<article><h3><code>{method} {path}</code></h3>");
    let _ = write!(body, "<p>{} {}</p>", text(&operation["summary"]), text(&operation["description"]));
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        body.push_str(
            "<table><caption>Parameters</caption><tr><th>Name</th><th>In</th><th>Kind</th><th></th></tr>",
        );
        for one in parameters {
            let required = if one["required"] == true { ", required" } else { "" };
            let _ = write!(
                body,
                "<tr><td><code>{}</code></td><td>{}{required}</td><td>{}</td><td>{}</td></tr>",
                text(&one["name"]),
                text(&one["in"]),
                kind(&one["schema"]),
                text(&one["description"])
            );
        }
        body.push_str("</table>");
    }
    for (content, media) in map(&operation["requestBody"]["content"]) {
        let _ = write!(body, "<p>Body, <code>{}</code>: {}</p>", escape(content), kind(&media["schema"]));
    }
    body.push_str("<table><caption>Answers</caption><tr><th>Status</th><th>Body</th><th></th></tr>");
    for (status, answer) in map(&operation["responses"]) {
        let bodies: Vec<String> = map(&answer["content"])
            .map(|(content, media)| format!("<code>{}</code> {}", escape(content), kind(&media["schema"])))
            .collect();
        let (status, about) = (escape(status), text(&answer["description"]));
        let _ = write!(body, "<tr><td>{status}</td><td>{}</td><td>{about}</td></tr>", bodies.join("<br>"));
    }
    body.push_str("</table></article>");
}

fn fields(body: &mut String, schema: &Value) {
    let _ = write!(body, "<p>{}</p>", text(&schema["description"]));
    for part in list(&schema["allOf"]) {
        if part["$ref"].is_string() {
            let _ = write!(body, "<p>All of {}, and:</p>", kind(part));
        } else {
            fields(body, part);
        }
    }
    if list(&schema["enum"]).is_empty() && map(&schema["properties"]).next().is_none() {
        return;
    }
    if !list(&schema["enum"]).is_empty() {
        let _ = write!(body, "<p>{}</p>", kind(schema));
        return;
    }
    body.push_str("<table><tr><th>Field</th><th>Kind</th><th></th></tr>");
    for (name, field) in map(&schema["properties"]) {
        let _ = write!(
            body,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            escape(name),
            kind(field),
            text(&field["description"])
        );
    }
    body.push_str("</table>");
}

/// A schema in a few words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let parts: Vec<String> = list(&schema[key]).iter().map(kind).collect();
        if !parts.is_empty() {
            return parts.join(" or ");
        }
    }
    let words: Vec<String> = list(&schema["enum"]).iter().map(text).collect();
    if !words.is_empty() {
        return format!("one of {}", words.join(", "));
    }
    let name = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        one => text(one),
    };
    if schema["items"].is_object() {
        return format!("{name} of {}", kind(&schema["items"]));
    }
    match schema["format"].as_str() {
        Some(format) => format!("{name} ({})", escape(format)),
        None => name,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn map(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_told_in_full_and_escaped() {
        let page = page(&json!({
            "info": {"title": "<b>t</b>", "description": "d"},
            "tags": [{"name": "things", "description": "All things"}],
            "paths": {"/things/{id}": {"get": {
                "tags": ["things"], "summary": "One <script>",
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}],
                "responses": {"200": {"description": "It", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
            }}},
            "components": {"schemas": {"Thing": {"properties": {"size": {"type": ["integer", "null"]}}}}},
        }));
        for part in [
            "GET /things/{id}",
            "string (uuid)",
            "path, required",
            "#schema-Thing",
            "integer or null",
            "&lt;b&gt;",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }
}
