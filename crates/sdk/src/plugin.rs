use crate::{Error, Options};

/// What plugins of every kind have.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Its name in configuration files: lower case with hyphens.
    const NAME: &'static str;
    /// One line: what it does and where it is published.
    const SUMMARY: &'static str;
    /// Where the method is published, such as "Chawla et al., 2002"; empty if there is nothing to cite.
    const CITATION: &'static str = "";
    /// Its options; [`NoOptions`](crate::NoOptions) if there are none.
    type Options: Options;

    /// An instance with checked options.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for an option out of range, with the range.
    fn new(options: Self::Options) -> Result<Self, Error>;
}
