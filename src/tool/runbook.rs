//! `runbook_read`: the full text of the runbook an investigation follows, or of another one of the catalogue,
//! in pieces, and the list of those that fit. It reads what was loaded, never a path.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::typed;
use super::{Bounds, Found, Refusal, Tool};
use crate::alert::Alert;
use crate::llm::ToolSchema;
use crate::runbook::{Catalogue, Runbook, Shared};
use crate::workload::Workload;

const GROUP: &str = "runbook";

/// Bytes of one piece, about 1,300 tokens: it must fit into one result with what stands around it.
const MAX_PIECE_BYTES: usize = 5000;
/// Names told in a list.
const MAX_NAMES: usize = 30;

/// `runbook_read`.
pub struct RunbookRead {
    catalogue: Arc<Catalogue>,
    chosen: Option<Shared>,
    fitting: Vec<Shared>,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: Option<String>,
    part: Option<usize>,
}

impl RunbookRead {
    /// For one investigation: these alerts of this workload decide what fits.
    pub fn new(catalogue: Arc<Catalogue>, alerts: &[Alert], workload: &Workload) -> Self {
        let schema = ToolSchema {
            name: "runbook_read".to_owned(),
            description:
                "Full text of the chosen runbook, or of another by name, in parts; names of those that fit."
                    .to_owned(),
            parameters: json!({"type": "object", "properties": {
                "name": {"type": "string", "description": "default: the chosen one"},
                "part": {"type": "integer", "description": "1 is the first"}}}),
        };
        let chosen = catalogue.choose(alerts, workload).runbook;
        let fitting = catalogue.fitting(alerts, workload);
        Self { catalogue, chosen, fitting, schema }
    }

    fn read(&self, asked: &Value) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let Some(runbook) = self.find(asked.name.as_deref())? else {
            let text = format!("no runbook was chosen\n{}", self.others(None));
            return Ok(Found {
                source: GROUP.to_owned(),
                query: "runbooks that fit".to_owned(),
                digest: text.clone(),
                full: text,
            });
        };
        let pieces = pieces(&runbook.text);
        let part = asked.part.unwrap_or(1);
        let Some(piece) = part.checked_sub(1).and_then(|index| pieces.get(index)) else {
            return Err(Refusal::Arguments(format!(
                "runbook {} has {} parts, there is no part {part}",
                runbook.name,
                pieces.len()
            )));
        };
        let mut text = format!("runbook {}, part {part} of {}\n{piece}\n", runbook.name, pieces.len());
        if part < pieces.len() {
            text.push_str(&format!(
                "left out: {} more parts; next is part {}\n",
                pieces.len() - part,
                part + 1
            ));
        }
        if part == 1 {
            text.push_str(&self.others(Some(&runbook)));
        }
        Ok(Found {
            source: GROUP.to_owned(),
            query: format!("runbook {} at {} part {part}", runbook.name, runbook.revision),
            full: text.clone(),
            digest: text,
        })
    }

    fn find(&self, name: Option<&str>) -> Result<Option<Shared>, Refusal> {
        let Some(name) = name else { return Ok(self.chosen.clone()) };
        let known = self.catalogue.runbooks().iter().find(|runbook| runbook.name == name);
        match known {
            Some(runbook) => Ok(Some(runbook.clone())),
            None => Err(Refusal::Failed(format!("no runbook is called `{name}`; {}", self.others(None)))),
        }
    }

    fn others(&self, but: Option<&Runbook>) -> String {
        let names: Vec<&str> = self
            .fitting
            .iter()
            .map(|runbook| runbook.name.as_str())
            .filter(|name| but.is_none_or(|but| but.name != *name))
            .collect();
        if names.is_empty() {
            return "no other runbook fits\n".to_owned();
        }
        let shown = names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(MAX_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("these fit too: {shown}{more}\n")
    }
}

impl Tool for RunbookRead {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        GROUP
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        _bounds: &'a Bounds,
    ) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(std::future::ready(self.read(arguments)))
    }
}

/// Cut where a heading or a paragraph begins, else at a line, else between characters. Nothing is lost.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > MAX_PIECE_BYTES {
        let room = &rest[..rest.floor_char_boundary(MAX_PIECE_BYTES)];
        // The last third is where a cut makes sense; an earlier one wastes a part.
        let late = |at: &usize| *at > MAX_PIECE_BYTES * 2 / 3;
        let cut =
            ["\n#", "\n\n", "\n"].iter().find_map(|mark| room.rfind(mark).filter(late)).unwrap_or(room.len());
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::request::tests::bounds;

    fn tool(chosen: Option<&str>) -> RunbookRead {
        let catalogue = Arc::new(Catalogue::builtin());
        let mut tool = RunbookRead::new(catalogue, &[], &bounds(&["shop"]).workload);
        tool.chosen = chosen.and_then(|name| tool.find(Some(name)).unwrap());
        tool
    }

    async fn ask(tool: &RunbookRead, asked: Value) -> Result<Found, Refusal> {
        tool.call(&asked, &bounds(&["shop"])).await
    }

    #[tokio::test]
    async fn the_chosen_runbook_is_read_and_others_by_name() {
        let catalogue = Catalogue::builtin();
        let first = &catalogue.runbooks()[0];
        let last = catalogue.runbooks().last().unwrap();
        let tool = tool(Some(&first.name));
        let found = ask(&tool, json!({})).await.unwrap();
        assert!(found.digest.starts_with(&format!("runbook {}, part 1 of ", first.name)), "{}", found.digest);
        assert!(found.query.contains(&first.revision));
        let found = ask(&tool, json!({"name": last.name})).await.unwrap();
        assert!(found.digest.contains(last.text.trim().lines().next().unwrap()));
    }

    #[tokio::test]
    async fn what_is_no_runbook_is_not_read() {
        let tool = tool(None);
        for name in ["../../etc/passwd", "/etc/passwd", "nope", ""] {
            let refusal = ask(&tool, json!({"name": name})).await.unwrap_err();
            assert!(refusal.to_string().starts_with(&format!("no runbook is called `{name}`")), "{refusal}");
        }
        assert!(ask(&tool, json!({})).await.unwrap().digest.starts_with("no runbook was chosen"));
        assert!(matches!(ask(&tool, json!({"path": "x"})).await, Err(Refusal::Arguments(_))));
    }

    #[tokio::test]
    async fn a_long_runbook_comes_in_parts_that_lose_nothing() {
        let mut tool = tool(None);
        let mut runbook = Catalogue::builtin().runbooks()[0].as_ref().clone();
        runbook.text = (0..1000)
            .map(|n| format!("{}line {n} é\n", if n % 40 == 0 { "\n## Head\n" } else { "" }))
            .collect();
        let whole = runbook.text.clone();
        assert_eq!((pieces(&whole).concat(), pieces(&whole).len()), (whole.clone(), 3));
        assert!(pieces(&whole).iter().all(|piece| piece.len() <= MAX_PIECE_BYTES));
        assert!(pieces(&whole)[1..].iter().all(|piece| piece.trim_start().starts_with("## Head")));
        tool.chosen = Some(Arc::new(runbook));
        let found = ask(&tool, json!({"part": 2})).await.unwrap();
        assert!(found.digest.contains(", part 2 of 3") && found.digest.contains("next is part 3"));
        for part in [0, 4] {
            let refusal = ask(&tool, json!({"part": part})).await.unwrap_err().to_string();
            assert!(refusal.contains(&format!("has 3 parts, there is no part {part}")), "{refusal}");
        }
    }

    #[test]
    fn text_without_any_line_is_cut_between_characters() {
        let text = "é".repeat(MAX_PIECE_BYTES);
        assert_eq!(pieces(&text).concat(), text);
        assert_eq!(pieces(""), [""]);
    }
}
