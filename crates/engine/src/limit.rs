use crate::EngineError;

/// A limit on the memory of a device.
pub struct Limit {
    /// Bytes that may be taken.
    pub bytes: u64,
    /// Bytes that this process has taken.
    pub taken: Box<dyn Fn() -> u64 + Send>,
}

impl Limit {
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match (self.taken)() {
            taken if taken > self.bytes => Err(EngineError::Memory { taken, limit: self.bytes }),
            _ => Ok(()),
        }
    }
}
