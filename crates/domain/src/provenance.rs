/// Where a synthetic row comes from: it lies at `base + r · (partner − base)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Row of the original matrix that the step starts from.
    pub base: u64,
    /// Row of the original matrix that the step leads to; equal to `base` for a plain copy.
    pub partner: u64,
    /// Label of the partner.
    pub partner_class: u32,
    /// Length of the step, as a share of the way to the partner, in `[0, 1]`.
    pub r: f32,
}

impl Provenance {
    /// Whether the partner of a synthetic row of class `class` is an enemy, that is, of another class.
    pub fn is_enemy(&self, class: u32) -> bool {
        self.partner_class != class
    }
}
