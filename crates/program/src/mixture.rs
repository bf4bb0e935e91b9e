use crate::Program;

/// `loss_of_targets · share + loss_of_partners · rest → loss`, all of one value: a recorded program. A test of the workspace
/// records it anew and compares.
const MIXTURE: &[u8] = include_bytes!("../programs/mixture.program");

/// The programs of a loss by two labels: λ · loss(targets) + (1 − λ) · loss(partners).
///
/// The loss comes twice, and a third program mixes. Beside what the loss takes they take the other labels as `partners`, λ
/// as `share` and 1 − λ as `rest`. Nothing is asked of the loss but its ports, so every loss can be mixed; one with
/// parameters does not join with itself. Source: Zhang, Cisse, Dauphin, Lopez-Paz, *mixup: Beyond Empirical Risk
/// Minimization* (ICLR 2018).
pub fn mixture(loss: Program) -> [Program; 3] {
    let mut partners = loss.clone();
    for port in &mut partners.header.inputs {
        if port.name == "targets" {
            port.name = "partners".into();
        }
    }
    let mut targets = loss;
    for (program, name) in [(&mut targets, "loss_of_targets"), (&mut partners, "loss_of_partners")] {
        for port in &mut program.header.outputs {
            if port.name == "loss" {
                port.name = name.into();
            }
        }
    }
    let mix = Program::from_bytes(MIXTURE).expect("a test of the workspace reads it");
    [targets, partners, mix]
}
