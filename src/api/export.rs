//! A list as a file: rows are read a batch at a time while the reader takes them, and written as CSV or NDJSON. An
//! export is bounded; where there is more, its `Link` header says where the next one begins. It writes nothing.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};

use super::filter::{Cursor, Format, Page};
use super::lists::store::Part;
use super::problem::{Problem, read};

/// Rows of one export.
pub(super) const MAX_ROWS: i64 = 50_000;
/// Rows read at once.
const BATCH: i64 = 1_000;
/// Exports at once, in this process.
const MAX_EXPORTS: usize = 4;
/// Batches that wait for a slow reader.
const BUFFERED: usize = 2;
/// A reader that is slower is cut off.
const DEADLINE: Duration = Duration::from_secs(300);

static EXPORTS: Semaphore = Semaphore::const_new(MAX_EXPORTS);

/// One line of an export.
pub(super) trait Row: Serialize + Send + 'static {
    const COLUMNS: &'static [&'static str];

    fn cursor(&self) -> Cursor;

    /// In the order of `COLUMNS`.
    fn cells(&self) -> Vec<String>;
}

pub(super) fn cell(value: impl ToString) -> String {
    value.to_string()
}

pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)).unwrap_or_default()
}

/// The first batch is read before the answer begins, so that what is wrong is a problem and no broken file.
pub(super) async fn answer<R: Row, F, Q>(format: Format, page: &Page, fetch: F) -> Result<Response, Problem>
where
    F: Fn(Part) -> Q + Send + 'static,
    Q: Future<Output = sqlx::Result<Vec<R>>> + Send,
{
    let permit = EXPORTS.try_acquire().map_err(|_| Problem::TooManyStreams)?;
    let bound = page.limit.unwrap_or(MAX_ROWS);
    let first = read(fetch(Part { after: page.cursor, skip: 0, limit: BATCH.min(bound) })).await?;
    // The last row of this export, and whether one follows: told before the first byte.
    let next = if i64::try_from(first.len()).is_ok_and(|read| read >= BATCH.min(bound)) {
        let last = read(fetch(Part { after: page.cursor, skip: bound - 1, limit: 2 })).await?;
        if last.len() == 2 { last.first().map(Row::cursor) } else { None }
    } else {
        None
    };
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, sqlx::Error>>(BUFFERED);
    tokio::spawn(async move {
        let told = tokio::time::timeout(DEADLINE, tell(format, first, bound, fetch, &sender)).await;
        drop(permit);
        if told.is_err() {
            // The answer breaks off: a file that merely ends would pass for a whole one.
            let _ = sender.try_send(Err(sqlx::Error::PoolTimedOut));
        }
    });
    let body = Body::from_stream(futures::stream::poll_fn(move |context| receiver.poll_recv(context)));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"whodunit.csv\""),
        _ => ("application/x-ndjson", "attachment; filename=\"whodunit.ndjson\""),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    let link = next
        .and_then(|next| HeaderValue::try_from(format!("<?cursor={}>; rel=\"next\"", next.encode())).ok());
    headers.extend(link.map(|link| (header::LINK, link)));
    Ok(response)
}

async fn tell<R: Row, F, Q>(
    format: Format,
    first: Vec<R>,
    bound: i64,
    fetch: F,
    to: &mpsc::Sender<Result<Bytes, sqlx::Error>>,
) where
    F: Fn(Part) -> Q + Send,
    Q: Future<Output = sqlx::Result<Vec<R>>> + Send,
{
    let mut text = match format {
        Format::Csv => line(R::COLUMNS.iter().copied()),
        _ => String::new(),
    };
    let (mut rows, mut left) = (first, bound);
    loop {
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        left -= count;
        for row in &rows {
            match format {
                Format::Csv => text.push_str(&line(row.cells().iter().map(String::as_str))),
                _ => text.push_str(&(serde_json::to_string(row).unwrap_or_default() + "\n")),
            }
        }
        if to.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err() {
            return;
        }
        let Some(after) = rows.last().map(Row::cursor) else { return };
        if left <= 0 || count < BATCH {
            return;
        }
        match fetch(Part { after: Some(after), skip: 0, limit: BATCH.min(left) }).await {
            Ok(next) => rows = next,
            Err(error) => {
                tracing::warn!(%error, "an export broke off");
                let _ = to.send(Err(error)).await;
                return;
            }
        }
    }
}

/// RFC 4180. What a spreadsheet would run as a formula is told as text.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = cells.map(|cell| {
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
        let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
        if cell.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_back_as_it_was_and_never_run() {
        assert_eq!(line(["a", "b \"c\", d", "e\nf", ""].into_iter()), "a,\"b \"\"c\"\", d\",\"e\nf\",\r\n");
        assert_eq!(line(["=1+1", "-5", "+x", "@y"].into_iter()), "'=1+1,-5,'+x,'@y\r\n");
    }
}
