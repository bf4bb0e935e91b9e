//! `data new`: from a folder of pictures to an experiment that runs.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use expanse_data::{Format, PictureFolder, Pictured, look};

use crate::{cli::NewDataOptions, error::Error, scaffold::check_name, workspace};

/// `data new`.
pub fn command(options: &NewDataOptions) -> Result<(), Error> {
    print!("{}", make(options, &workspace::config_folder())?);
    eprintln!("next:   cargo xtask run {0} --dry-run, and cargo xtask run {0}", options.name);
    Ok(())
}

/// Writes both files; answers what to tell.
fn make(options: &NewDataOptions, config_folder: &Path) -> Result<String, Error> {
    let name = options.name.as_str();
    let refused = |message: String| Error::NewData { name: name.into(), message };
    check_name(name).map_err(refused)?;
    let [data, experiment] =
        ["data", "experiments"].map(|folder| config_folder.join(folder).join(format!("{name}.toml")));
    if let Some(there) = [&data, &experiment].into_iter().find(|file| file.exists()) {
        return Err(refused(format!(
            "{} is there already; take another name, or remove it",
            there.display()
        )));
    }
    let folder = options.folder.canonicalize();
    let folder = folder.map_err(|source| Error::File { path: options.folder.clone(), source })?;
    let found = Found::look(&folder)?;
    let size = options.size.unwrap_or_else(|| found.suggested_size());
    write_new(&data, &found.data_set(&folder, size))?;
    // Neither file without the other.
    write_new(&experiment, &experiment_file(name)).inspect_err(|_| drop(fs::remove_file(&data)))?;
    Ok(format!("{}{}\n{}\n", found.told(size), data.display(), experiment.display()))
}

/// What a folder of pictures holds.
struct Found {
    /// Name, training pictures and test pictures of each class, the largest first.
    classes: Vec<(String, usize, Option<usize>)>,
    /// The shorter side of each training picture, ascending.
    sides: Vec<u32>,
    color: bool,
    passed_over: usize,
}

/// The largest image that is suggested: a side of twice as many pixels takes four times as long to train on.
const LARGEST_SUGGESTED: u32 = 64;
/// The smallest one, where pictures differ in size.
const SMALLEST_SUGGESTED: u32 = 32;
/// What `data.image_size` is at least.
pub const SMALLEST_IMAGE: u32 = 8;

impl Found {
    fn look(folder: &Path) -> Result<Self, Error> {
        let PictureFolder { classes, train, test, passed_over } = PictureFolder::find(folder, None)?;
        let counts = classes
            .into_iter()
            .enumerate()
            .map(|(label, class)| (class, train[label].len(), test.as_ref().map(|test| test[label].len())));
        let mut classes: Vec<_> = counts.collect();
        classes.sort_by_key(|(_, train, _)| std::cmp::Reverse(*train));
        let (mut sides, mut color) = (Vec::new(), false);
        for path in train.iter().flatten() {
            let Pictured { size: (width, height), color: has_color } =
                look(path).map_err(expanse_data::DataError::from)?;
            sides.push(width.min(height));
            color |= has_color;
        }
        sides.sort_unstable();
        Ok(Self { classes, sides, color, passed_over })
    }

    /// The side of all pictures where that is one; else the power of two next below the median of the shorter sides, within
    /// what trains in bearable time.
    fn suggested_size(&self) -> u32 {
        let (shortest, longest) = (self.sides[0], self.sides[self.sides.len() - 1]);
        if shortest == longest && (SMALLEST_IMAGE..=LARGEST_SUGGESTED).contains(&shortest) {
            return shortest;
        }
        let median = self.sides[self.sides.len() / 2];
        (1 << median.max(1).ilog2()).clamp(SMALLEST_SUGGESTED, LARGEST_SUGGESTED)
    }

    /// The file of the data set.
    fn data_set(&self, folder: &Path, size: u32) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let classes: String =
            self.classes.iter().map(|(name, ..)| format!("    {},\n", quoted(name))).collect();
        format!(
            "# Pictures in a folder for each class, {} of them; the largest class first.\n\
             [data]\n\
             format = \"{}\"\n\
             folder = {}\n\
             classes = [\n{classes}]\n\
             image_size = {size}\n\
             color = \"{}\"\n\
             # Images are cropped out of a frame of this many pixels around them, and mirrored, to train on; pictures whose\n\
             # left and right differ in meaning, such as writing, want flip = false.\n\
             crop_padding = {}\n\
             flip = true\n",
            self.sides.len(),
            Format::Pictures,
            quoted(&folder.display().to_string()),
            if self.color { "rgb" } else { "gray" },
            size / 8,
        )
    }

    /// What was found, for people.
    fn told(&self, size: u32) -> String {
        let mut told = format!("{:<24}{:>9}{:>8}\n", "class", "training", "test");
        for (class, train, test) in &self.classes {
            let test = test.map_or_else(|| "–".to_owned(), |test| test.to_string());
            let _ = writeln!(told, "{class:<24}{train:>9}{test:>8}");
        }
        let [(_, largest, _), .., (_, smallest, _)] = self.classes.as_slice() else { return told };
        let (shortest, longest) = (self.sides[0], self.sides[self.sides.len() - 1]);
        let _ = writeln!(
            told,
            "{:.1} to 1 from the largest class to the smallest; shorter sides of {shortest} to {longest} pixels, {}",
            *largest as f64 / *smallest as f64,
            if self.color { "colour" } else { "gray" },
        );
        let _ = writeln!(told, "each picture becomes an image of {size} × {size}: data.image_size");
        if self.classes.iter().any(|(.., test)| test.is_none()) {
            told += "there is no folder `test`: a share of each class is held out, data.test_share\n";
        }
        if self.passed_over > 0 {
            let _ = writeln!(
                told,
                "{} files are no pictures by their extension, and are passed over",
                self.passed_over
            );
        }
        told
    }
}

/// The file of the experiment.
fn experiment_file(name: &str) -> String {
    format!(
        "# A first result on {name}: a small network and EOS on its embeddings.\n\
         [data]\n\
         set = \"{name}\"\n\
         \n\
         # Deeper ones, of 20, 32 or 56 layers, learn more and take longer.\n\
         [backbone]\n\
         plugin = \"resnet\"\n\
         depth = 8\n"
    )
}

/// Writes a file that is not there yet.
fn write_new(path: &PathBuf, text: &str) -> Result<(), Error> {
    let written = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Error::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use expanse_config::{Color, Sources, resolve};

    use super::*;

    /// A gray picture in the simplest of formats.
    fn paint(path: &Path, width: usize, height: usize) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let header = format!("P5 {width} {height} 255\n").into_bytes();
        fs::write(path, [header, vec![100; width * height]].concat()).unwrap();
    }

    #[test]
    fn a_folder_of_pictures_becomes_an_experiment() {
        let folder = tempfile::tempdir().unwrap();
        let path = |path: &str| folder.path().join(path);
        for index in 0..3 {
            paint(&path(&format!("pictures/a \"rare\" one/{index}.pgm")), 90, 70);
            paint(&path(&format!("pictures/common/{index}.pgm")), 64, 200);
            paint(&path(&format!("pictures/common/more/{index}.pgm")), 64, 64);
        }
        fs::create_dir_all(path("config/data")).unwrap();
        fs::create_dir_all(path("config/experiments")).unwrap();
        let options = NewDataOptions { name: "mine".into(), folder: path("pictures"), size: None };
        let told = make(&options, &path("config")).unwrap();
        assert!(told.contains("2.0 to 1 from the largest class to the smallest"), "{told}");
        assert!(told.contains("64 to 70 pixels, gray") && told.contains("image of 64 × 64"), "{told}");
        let sources = Sources {
            config_folder: &path("config"),
            experiment: Some("mine"),
            environment: Vec::<(String, String)>::new(),
            set: &[],
        };
        let experiment = resolve(sources).unwrap().experiment;
        assert_eq!(experiment.data.classes, ["common", "a \"rare\" one"]);
        assert_eq!((experiment.data.image_size, experiment.data.color), (64, Color::Gray));
        let data = expanse_pipeline::prepare(&experiment, folder.path()).unwrap();
        assert_eq!((data.counts.as_slice(), data.test.counts().as_slice()), (&[5, 2][..], &[1, 1][..]));

        // Nothing is written over, and one file never comes without the other.
        let error = make(&options, &path("config")).unwrap_err().to_string();
        assert!(error.contains("data set `mine`: ") && error.contains("is there already"), "{error}");
        fs::remove_dir_all(path("config/experiments")).unwrap();
        let other = NewDataOptions { name: "other".into(), ..options };
        assert!(make(&other, &path("config")).is_err());
        assert!(!path("config/data/other.toml").exists());
    }

    #[test]
    fn sizes_are_suggested_within_bounds() {
        let check = |sides: &[u32], expected| {
            let found = Found { classes: Vec::new(), sides: sides.to_vec(), color: true, passed_over: 0 };
            assert_eq!(found.suggested_size(), expected, "{sides:?}");
        };
        check(&[1], 32);
        check(&[28, 28, 28], 28);
        check(&[28, 28, 29], 32);
        check(&[10, 63, 4000], 32);
        check(&[64], 64);
        check(&[200, 480, 1080], 64);
    }
}
