//! Passes whose intermediate tensors are computed again in the backward pass, so that they need not
//! be kept.

use tch::{Kind, Tensor};

use crate::PolicyError;

/// A function from some tensors to the next.
type Run<'a> = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>, PolicyError> + 'a>;

/// A pass in segments: between them every tensor is kept, within them none.
///
/// A segment runs once forward, and once more when gradients come back to it. libtorch's generator
/// has the same seed both times, so dropout zeroes the same elements. Gradients equal those of one
/// graph over all segments; the cost is one more forward computation.
#[derive(Default)]
pub(crate) struct Segments<'a>(Vec<Segment<'a>>);

struct Segment<'a> {
    inputs: Vec<Tensor>,
    /// Leaves whose gradients the later segments fill.
    outputs: Vec<Tensor>,
    run: Run<'a>,
    seed: i64,
}

impl std::fmt::Debug for Segments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Segments").field(&self.0.len()).finish()
    }
}

impl<'a> Segments<'a> {
    /// Appends a segment that reads `inputs`, outputs of earlier ones; its own outputs are leaves.
    pub(crate) fn run(
        &mut self,
        inputs: &[Tensor],
        run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, PolicyError> + 'a,
    ) -> Result<Vec<Tensor>, PolicyError> {
        let seed = Tensor::f_randint(i64::MAX, [1], (Kind::Int64, tch::Device::Cpu))?;
        let seed = seed.int64_value(&[0]);
        tch::manual_seed(seed);
        // The graph is recorded, because dropout may depend on that, and dropped at once.
        let graph = run(inputs)?;
        let outputs: Vec<Tensor> = graph
            .iter()
            .map(|output| output.detach().set_requires_grad(output.requires_grad()))
            .collect();
        let clones = |tensors: &[Tensor]| tensors.iter().map(Tensor::shallow_clone).collect();
        self.0.push(Segment {
            inputs: clones(inputs),
            outputs: clones(&outputs),
            run: Box::new(run),
            seed,
        });
        Ok(outputs)
    }

    /// Propagates the gradients of the last outputs back to the weights.
    pub(crate) fn backward(mut self) -> Result<(), PolicyError> {
        while let Some(Segment { inputs, outputs, run, seed }) = self.0.pop() {
            let grads: Vec<Tensor> = outputs.iter().map(Tensor::grad).collect();
            drop(outputs);
            if grads.iter().all(|grad| !grad.defined()) {
                continue;
            }
            tch::manual_seed(seed);
            let terms = run(&inputs)?
                .iter()
                .zip(&grads)
                .filter(|(output, grad)| grad.defined() && output.requires_grad())
                .map(|(output, grad)| Ok((output * grad).f_sum(Kind::Float)?))
                .collect::<Result<Vec<Tensor>, PolicyError>>()?;
            if !terms.is_empty() {
                Tensor::f_stack(&terms, 0)?.f_sum(Kind::Float)?.f_backward()?;
            }
        }
        Ok(())
    }
}
