//! The command line: `moorage-images build [IMAGE…]`, one archive per image.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use crate::{
    archive, compile,
    contents::{Image, VERSION},
    platform::Platform,
};

/// Builds the container images of Moorage without a container engine.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compiles the static programs and writes one archive per image
    Build(Build),
    /// Prints the names of the images, one per line
    Names {
        /// The tag
        #[arg(long, default_value = VERSION)]
        tag: String,
    },
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Folder for the archives [default: images/ in cargo's target folder]
    #[arg(long)]
    output: Option<PathBuf>,
    /// The tag
    #[arg(long, default_value = VERSION)]
    tag: String,
    /// Cargo profile: `image` builds fast, `release` is what is published
    #[arg(long, default_value = "image")]
    profile: String,
    /// Which images; all of them when none is named
    #[arg(value_enum)]
    images: Vec<Image>,
}

/// Carries the command line out. The paths of the archives go to standard output, everything else to standard error.
///
/// # Errors
/// When compiling or writing fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Build(build) => build_images(build),
        Command::Names { tag } => {
            for image in Image::ALL {
                say(&image.reference(tag));
            }
            Ok(())
        }
    }
}

fn build_images(build: &Build) -> Result<()> {
    let platform = Platform::host()?;
    let root = compile::workspace_root()?;
    let images = if build.images.is_empty() {
        &Image::ALL[..]
    } else {
        &build.images
    };
    for &image in images {
        let started = Instant::now();
        let program = compile::compile(&root, image, platform, &build.profile)?;
        let folder = match &build.output {
            Some(folder) => folder.clone(),
            None => default_output(&program)?,
        };
        let written = write_image(image, platform, &program, &build.tag, &folder)?;
        eprintln!(
            "{}: {:.1} MB in {:.1} s",
            image.reference(&build.tag),
            megabytes(written.size),
            started.elapsed().as_secs_f64()
        );
        say(&written.archive.display().to_string());
    }
    Ok(())
}

/// `<target folder>/images`, seen from `<target folder>/<triple>/<profile>/<program>`.
fn default_output(program: &Path) -> Result<PathBuf> {
    let target = program.ancestors().nth(3);
    let target = target.with_context(|| {
        format!(
            "failed to find cargo's target folder above {}",
            program.display()
        )
    })?;
    Ok(target.join("images"))
}

/// The largest program that goes into an image, in bytes. Ours have some twenty megabytes; one with debug information, or with a
/// second TLS stack linked in by accident, is larger.
pub const LARGEST_PROGRAM: u64 = 64 * 1024 * 1024;

/// An archive that was written.
#[derive(Debug)]
pub struct Written {
    /// Where.
    pub archive: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Writes the archive of an image around the program at `program` into `folder`, which is made if needed. The archive
/// appears whole or not at all.
///
/// # Errors
/// When the program is not static, is larger than [`LARGEST_PROGRAM`], or reading or writing fails.
pub fn write_image(
    image: Image,
    platform: Platform,
    program: &Path,
    tag: &str,
    folder: &Path,
) -> Result<Written> {
    let length = fs::metadata(program)
        .with_context(|| format!("failed to read the size of {}", program.display()))?
        .len();
    ensure!(
        length <= LARGEST_PROGRAM,
        "failed to use {}: {:.0} MB are too large for an image; build it with --profile image or --profile release",
        program.display(),
        megabytes(length)
    );
    let binary =
        fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
    compile::ensure_static(&binary)
        .with_context(|| format!("failed to use {}", program.display()))?;
    let documents = image.assemble(platform, binary, tag)?;

    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let archive = folder.join(format!("{}.tar", image.name()));
    let unfinished = folder.join(format!(".{}.{}.tar", image.name(), std::process::id()));
    let file = File::create(&unfinished)
        .with_context(|| format!("failed to create {}", unfinished.display()))?;
    let written = archive::write(&documents, &image.reference(tag), BufWriter::new(file))
        .and_then(|()| {
            fs::rename(&unfinished, &archive).context("failed to rename the finished archive")
        })
        .with_context(|| format!("failed to write {}", archive.display()));
    if written.is_err() {
        // Best effort: the reason to report is the one that we have.
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    let size = fs::metadata(&archive)
        .with_context(|| format!("failed to read the size of {}", archive.display()))?;
    Ok(Written {
        archive,
        size: size.len(),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size for people, with one decimal"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(
    clippy::print_stdout,
    reason = "the output of a command-line tool, for scripts to read"
)]
fn say(line: &str) {
    println!("{line}");
}
