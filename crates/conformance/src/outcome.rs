use expanse_abi::{ErrorCode, PluginError};
use expanse_host::HostError;
use serde::{Deserialize, Serialize};

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// The plugin does what it must.
    Passed,
    /// It does not: what was asked, and what came.
    Failed(String),
    /// It could not be told: what is missing.
    NotApplicable(String),
}

/// Why a check has not passed.
#[derive(Debug)]
pub(crate) enum Reason {
    Failed(String),
    NotApplicable(String),
}

/// The result of a check; it passes where nothing speaks against it.
pub(crate) type Verdict = Result<(), Reason>;

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(Reason::Failed(why)) => Self::Failed(why),
            Err(Reason::NotApplicable(why)) => Self::NotApplicable(why),
        }
    }
}

impl From<HostError> for Reason {
    fn from(error: HostError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<PluginError> for Reason {
    fn from(error: PluginError) -> Self {
        Self::Failed(format!("it answers with {} ({})", code(error.code), error.message))
    }
}

/// Fails a check with a message, unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err(crate::outcome::Reason::Failed(format!($($message)+)));
        }
    };
}

/// The check does not apply, for a reason.
macro_rules! not_applicable {
    ($($message:tt)+) => {
        return Err(crate::outcome::Reason::NotApplicable(format!($($message)+)))
    };
}

pub(crate) use {ensure, not_applicable};

/// The call must be refused, with one of the codes; answers the error.
pub(crate) fn refused<T>(
    what: &str,
    answer: Result<T, PluginError>,
    codes: &[ErrorCode],
) -> Result<PluginError, Reason> {
    let Err(error) = answer else {
        return Err(Reason::Failed(format!("{what} is accepted; refuse it with an error")));
    };
    let allowed = codes.iter().map(|code| self::code(*code)).collect::<Vec<_>>().join(" or ");
    ensure!(
        codes.contains(&error.code),
        "{what} is answered with {} ({}); answer with {allowed}",
        code(error.code),
        error.message
    );
    let message = error.message.as_str();
    ensure!(
        !message.trim().is_empty() && !message.contains('\n'),
        "{what}: the message must be one line, it is {message:?}"
    );
    let detail = serde_json::from_str::<serde_json::Value>(&error.detail);
    ensure!(
        detail.is_ok_and(|detail| detail.is_object()),
        "{what}: the detail must be a JSON object, it is {:?}",
        error.detail
    );
    Ok(error)
}

/// The name of an error's code.
pub(crate) fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OPTIONS => "an option error",
        ErrorCode::INPUT => "an input error",
        ErrorCode::CANCELLED => "a cancellation",
        ErrorCode::PANIC => "a panic",
        ErrorCode::UNKNOWN_NAME => "an unknown name",
        ErrorCode::INTERNAL => "an internal error",
        ErrorCode::UNSUPPORTED => "a lack of support",
        _ => "an error of a code that is not known here",
    }
}
