//! A run on pictures in folders.

use std::fs;

use expanse_tests::small::{refuse, succeed};
use serde_json::Value;

#[test]
fn pictures_in_folders_are_trained_on_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let paint = |class: &str, index: usize, color: [u8; 3], side: usize| {
        let path = folder.path().join(class).join(format!("{index}.ppm"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let header = format!("P6 {} {side} 255\n", side + index).into_bytes();
        fs::write(path, [header, color.repeat(side * (side + index))].concat()).unwrap();
    };
    // Colours tell the classes apart; sizes differ from picture to picture.
    for (class, count, color) in
        [("leaf", 60, [20, 200, 30]), ("rose", 20, [220, 20, 60]), ("sky", 10, [30, 60, 230])]
    {
        (0..count).for_each(|index| {
            paint(class, index, color.map(|value| value - (index % 17) as u8), 12 + index % 9)
        });
    }
    let data = |more: &[&str]| -> Vec<String> {
        let set = ["data.format=pictures", "data.classes=[]", "data.image_size=16", "data.profile=natural"];
        let folder = format!("data.folder={}", folder.path().display());
        set.iter().chain(more).map(|value| value.to_string()).chain([folder]).collect()
    };
    let all = data(&["train.epochs=20", "train.batch_size=16", "finetune.epochs=10"]);
    let (_runs, run, document) = succeed(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(document["three_phase"]["recall"].as_array().unwrap().len(), 3);
    assert!(document["three_phase"]["bac"].as_f64().unwrap() > 0.9, "{}", document["three_phase"]);
    let record: Value = serde_json::from_slice(&fs::read(run.join("record.json")).unwrap()).unwrap();
    assert_eq!(record["data"]["classes"], serde_json::json!(["leaf", "rose", "sky"]));
    assert_eq!(record["data"]["train_counts"], serde_json::json!([48, 16, 8]));
    assert_eq!(record["data"]["test_images"], 18);

    fs::write(folder.path().join("rose/3.ppm"), "P6 9 9 255\n").unwrap();
    let set = data(&[]);
    refuse(
        &set.iter().map(String::as_str).collect::<Vec<_>>(),
        &["rose/3.ppm cannot be read", "save it again"],
    );
}
