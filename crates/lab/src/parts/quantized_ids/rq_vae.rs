//! Codes by an RQ-VAE.

use std::fs;
use std::ops::ControlFlow;

use linfa::ParamGuard as _;
use ndarray::{Array2, ArrayView2};
use sidereal_quantizer::{
    QuantizerError, RqVae, RqVaeEvaluation, RqVaeParams, RqVaeTraining, RqVaeValidParams,
};
use sidereal_train::Observer;

use super::quantized::Quantized;
use crate::error::LabError;
use crate::run::part::Folder;

/// The folder of the model within the run's folder.
const MODEL: &str = "codebooks";
/// The files of the model.
pub(crate) const FILES: [&str; 2] = ["codebooks/rq_vae.safetensors", "codebooks/rq_vae.json"];
/// The file with the state of an unfinished training.
const CHECKPOINT: &str = "codebooks/rq_vae.checkpoint";

/// Makes codes of these vectors, in the latent space of a model that is trained and written
/// here. With `collaborative` vectors of the same items, the codes are aligned with those. A
/// training that was interrupted goes on where it stopped.
pub(crate) fn codes<'a>(
    params: RqVaeParams,
    vectors: &'a Array2<f32>,
    collaborative: Option<ArrayView2<'a, f32>>,
    folder: &Folder,
    observer: &mut dyn Observer,
) -> Result<Quantized, LabError> {
    let params = params.check()?;
    let mut train = || fit(&params, vectors, collaborative, folder, observer);
    let model = match train() {
        // A checkpoint of other settings or other vectors.
        Err(QuantizerError::OtherRun { .. }) => {
            tidy(folder)?;
            train()?
        }
        trained => trained?,
    };
    model.save(&folder.path(MODEL))?;
    let rows = model.embed(vectors.view())?;
    let codebooks = model.codebooks().clone();
    let codes = codebooks.encode(rows.view())?;
    Ok(Quantized { codebooks, rows, codes })
}

/// Removes the checkpoint of a training, if there is one.
pub(crate) fn tidy(folder: &Folder) -> Result<(), LabError> {
    let path = folder.path(CHECKPOINT);
    if !path.exists() {
        return Ok(());
    }
    fs::remove_file(&path).map_err(|source| LabError::Io { path, source })
}

fn fit<'a>(
    params: &RqVaeValidParams,
    vectors: &'a Array2<f32>,
    collaborative: Option<ArrayView2<'a, f32>>,
    folder: &Folder,
    observer: &mut dyn Observer,
) -> Result<RqVae, QuantizerError> {
    let steps = params.steps();
    let mut training =
        RqVaeTraining::new(params, vectors.view()).checkpoint(folder.path(CHECKPOINT));
    if let Some(collaborative) = collaborative {
        training = training.collaborative(collaborative);
    }
    let model = training.run(&mut |evaluation: &RqVaeEvaluation| {
        observer.on_progress("quantize", "steps", evaluation.step.min(steps), steps);
        ControlFlow::Continue(())
    })?;
    observer.on_progress("quantize", "steps", steps, steps);
    Ok(model)
}

#[cfg(test)]
mod tests {
    use sidereal_train::Record;

    use super::*;

    #[test]
    fn a_checkpoint_of_other_settings_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let [used, fresh] = ["used", "fresh"].map(|name| Folder::new(&dir.path().join(name)));
        let vectors = Array2::from_shape_fn((16, 6), |(i, d)| ((i * 7 + d * d * i) % 13) as f32);
        let params = |steps| {
            let params = RqVaeParams::new([2, 2], 1).hidden([4]).latent(2);
            params.batch_size(8).steps(steps).evaluate_every(2)
        };
        let silent = &mut |_: &Record| {};
        fit(&params(6).check().unwrap(), &vectors, None, &used, silent).unwrap();
        assert!(used.path(CHECKPOINT).exists());
        let made =
            [&used, &fresh].map(|folder| codes(params(4), &vectors, None, folder, silent).unwrap());
        assert_eq!(made[0].codes, made[1].codes);
        assert_eq!(made[0].codebooks, made[1].codebooks);
        for folder in [used, fresh] {
            tidy(&folder).unwrap();
            assert!(!folder.path(CHECKPOINT).exists() && folder.path(FILES[0]).exists());
            tidy(&folder).unwrap();
        }
    }
}
