use expanse_abi::{ErrorCode, PluginError};

/// Why a plugin could not do what it was asked. The message is one line: subject, got, allowed, remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// An option is unknown, of the wrong type or out of range.
    #[error("{message}")]
    Option {
        /// The option's name; empty if it is not about one option.
        option: String,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// The request cannot be served.
    #[error("{0}")]
    Input(String),
    /// The host asked to stop.
    #[error("stopped at the host's request")]
    Cancelled,
    /// It failed in a way that the caller could not have avoided.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An option that cannot be used.
    pub fn option(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Option { option: option.into(), message: message.into() }
    }

    /// A request that cannot be served.
    pub fn input(message: impl ToString) -> Self {
        Self::Input(message.to_string())
    }

    /// A failure that the caller could not have avoided.
    pub fn internal(message: impl ToString) -> Self {
        Self::Internal(message.to_string())
    }
}

impl From<expanse_sampling::SamplingError> for Error {
    fn from(error: expanse_sampling::SamplingError) -> Self {
        match error {
            expanse_sampling::SamplingError::Cancelled => Self::Cancelled,
            error => Self::input(error),
        }
    }
}

impl From<Error> for PluginError {
    fn from(error: Error) -> Self {
        let (code, detail) = match &error {
            Error::Option { option, .. } => (ErrorCode::OPTIONS, serde_json::json!({ "option": option })),
            Error::Input(_) => (ErrorCode::INPUT, serde_json::json!({})),
            Error::Cancelled => (ErrorCode::CANCELLED, serde_json::json!({})),
            Error::Internal(_) => (ErrorCode::INTERNAL, serde_json::json!({})),
        };
        PluginError { code, message: error.to_string().into(), detail: detail.to_string().into() }
    }
}
