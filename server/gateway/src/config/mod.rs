//! KrakenD configuration version 3: parsing and linting.

mod backend;
mod duration;
mod endpoint;
mod extra;
mod keys;
mod model;
mod paths;
mod positions;
mod report;
mod service;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use paths::{Piece, UrlPattern, shape};

pub use duration::parse_duration;
pub use model::{AllowList, Backend, Encoding, Endpoint, OutputEncoding, ServiceConfig};
pub use report::{Finding, Report, Severity, Strictness};

use serde_json::Value;
use walk::Walk;

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Everything wrong or remarkable in a document. Never fails: what cannot be read is a finding too.
pub fn check(document: &[u8], strictness: Strictness) -> Report {
    match parse(document, strictness) {
        Ok((_, report)) | Err(report) => report,
    }
}

/// As [`check`], with the document as it was read, for who goes on with it. `None` when it is refused.
pub fn examine(document: &[u8], strictness: Strictness) -> (Report, Option<Value>) {
    match read(document, strictness) {
        Ok((_, report, value)) => (report, Some(value)),
        Err(report) => (report, None),
    }
}

/// Reads a document. The report of a good one holds its warnings; that of a refused one at least one error.
pub fn parse(document: &[u8], strictness: Strictness) -> Result<(ServiceConfig, Report), Report> {
    read(document, strictness).map(|(config, report, _)| (config, report))
}

fn read(document: &[u8], strictness: Strictness) -> Result<(ServiceConfig, Report, Value), Report> {
    let (text, value) = read_json(document).map_err(|finding| Report {
        findings: vec![*finding],
    })?;
    let mut walk = Walk::new(strictness);
    let config = service::read(&mut walk, &value);
    let unsupported = std::mem::take(&mut walk.unsupported);
    let report = walk.report(text);
    match config {
        Some(mut config) if !report.has_errors() => {
            config.unsupported = unsupported;
            Ok((config, report, value))
        }
        _ => Err(report),
    }
}

fn read_json(document: &[u8]) -> Result<(&str, Value), Box<Finding>> {
    let refuse = |code, line, column, message| {
        Box::new(Finding {
            severity: Severity::Error,
            code,
            pointer: String::new(),
            line,
            column,
            message,
        })
    };
    if document.len() > MAX_DOCUMENT_BYTES {
        let message = format!(
            "the document has {} bytes, more than the {MAX_DOCUMENT_BYTES} allowed; split the gateway or remove what is not used",
            document.len()
        );
        return Err(refuse("document-too-large", 1, 1, message));
    }
    let text = std::str::from_utf8(document).map_err(|error| {
        let good = String::from_utf8_lossy(&document[..error.valid_up_to()]).into_owned();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        refuse(
            "invalid-json",
            line,
            column,
            "the document is not UTF-8; save it as UTF-8".to_owned(),
        )
    })?;
    let value = serde_json::from_str(text).map_err(|error| {
        let position = positions::from_serde(text, error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or(&reason);
        let message =
            format!("the document is not valid JSON: {reason}; correct it here or just before");
        refuse("invalid-json", position.line, position.column, message)
    })?;
    Ok((text, value))
}
