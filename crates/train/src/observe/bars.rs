//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

use super::{Observer, Record};

/// Progress bars on stderr: one for each job, with throughput and time left.
#[derive(Debug, Default)]
pub struct Bars {
    bar: Option<(String, ProgressBar)>,
}

impl Bars {
    fn bar(&mut self, job: &str, unit: &str, start: usize, total: usize) -> &ProgressBar {
        if self.bar.as_ref().is_some_and(|(name, _)| name != job) {
            self.bar = None;
        }
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total as u64).with_position(start as u64);
            bar.reset_eta();
            let template = format!(
                "{{prefix:>12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} \
                 {{eta}} left {{msg}}"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(job.to_owned());
            (job.to_owned(), bar)
        });
        bar
    }

    fn advance(&mut self, job: &str, unit: &str, done: usize, total: usize, message: String) {
        let bar = self.bar(job, unit, done.saturating_sub(1), total);
        bar.set_message(message);
        bar.set_position(done as u64);
        if done >= total {
            bar.finish();
            self.bar = None;
        }
    }
}

impl Observer for Bars {
    fn on_record(&mut self, record: &Record) {
        let shown = ["loss", "valid_loss", "reward", "valid_ndcg"];
        let message = shown
            .iter()
            .filter_map(|name| Some(format!("{name} {:.4}", record.values.get(*name)?)))
            .collect::<Vec<_>>()
            .join("  ");
        self.advance(&record.stage, "steps", record.step, record.total, message);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.advance(job, unit, done, total, String::new());
    }
}
