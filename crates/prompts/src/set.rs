//! One set of prompts: templates of several tasks, compiled, checked and hashed.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior};
use sidereal_data::Digest;

use crate::task::{segment_kind, show_one_chain};
use crate::{
    Facts, Format, Message, Prompt, PromptError, PromptSpec, Role, Segment, SegmentKind, Task,
    Template, Variable,
};

/// Templates of several tasks, compiled, checked and hashed.
///
/// A prompt has the [inputs](Task::inputs) of its task and must show them all; a completion has the
/// [outputs](Task::outputs). So a prompt cannot contain the answer, and a template that leaves out
/// an input is an error.
///
/// A set that says `continuation = true` is plain, and its next-item template is an instruction,
/// then the history's Semantic IDs, each written exactly as a completion is. Prompt and completion
/// of one prefix of a history are then literally the beginning of the next prefix's prompt, so that
/// one forward pass over a user's longest prompt trains all of them.
///
/// ```
/// use sidereal_prompts::{Facts, Prompt, PromptRegistry, Task};
/// let prompts = PromptRegistry::builtin()?;
/// let terse = prompts.set("terse")?;
/// let history = Facts { history: Some(vec!["<a_1><b_2>", "<a_0><b_3>"]), ..Facts::default() };
/// let prompt = terse.prompt(Task::NextItem, 0, &history)?;
/// assert_eq!(prompt, Prompt::Plain("next:<a_1><b_2><a_0><b_3>".to_owned()));
/// # Ok::<(), sidereal_prompts::PromptError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PromptSet {
    spec: PromptSpec,
    tasks: BTreeMap<Task, Compiled>,
    environment: Environment<'static>,
    hash: String,
}

/// What is known of a template that was compiled.
#[derive(Debug, Clone)]
struct Compiled {
    /// Its place among the templates.
    index: usize,
    /// The kinds of the completion's pieces.
    kinds: Vec<SegmentKind>,
    /// The variables of the completion.
    outputs: Vec<Variable>,
}

impl PromptSet {
    /// Compiles a set and checks it.
    ///
    /// # Errors
    /// A [`PromptError`] that names the set and, if it is about a template, its task, version and
    /// part: an empty or repeated template; a template that does not compile or render, that has a
    /// variable which its task does not have, or that leaves out a variable of its task; system
    /// text in a plain set; a set that says it is a continuation but is not.
    pub fn new(spec: PromptSpec) -> Result<Self, PromptError> {
        let set = spec.name.clone();
        if spec.templates.is_empty() {
            return Err(PromptError::EmptySet { set });
        }
        let systems = spec.templates.iter().map(|template| &template.system);
        if let Some(found) = systems.chain([&spec.system]).find(|system| !system.is_empty())
            && spec.format == Format::Plain
        {
            return Err(PromptError::SystemInPlain { set, found: found.clone() });
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        let mut tasks = BTreeMap::new();
        for (index, template) in spec.templates.iter().enumerate() {
            let task = template.task;
            if task == Task::Chat {
                return Err(PromptError::TaskOfData { set, task });
            }
            let found = spec.templates.iter().filter(|template| template.task == task).count();
            if found > 1 {
                return Err(PromptError::RepeatedTemplate { set, task, found });
            }
            let (kinds, outputs) = compile(&mut environment, &set, template)?;
            tasks.insert(task, Compiled { index, kinds, outputs });
        }
        let hash = hash(&spec, &tasks);
        let prompts = Self { spec, tasks, environment, hash };
        let probe = Facts::probe();
        for template in &prompts.spec.templates {
            for paraphrase in 0..template.prompts.len() {
                prompts.prompt(template.task, paraphrase, &probe)?;
            }
            prompts.completion(template.task, &probe)?;
        }
        if prompts.spec.continuation {
            prompts.prove_continuation()?;
        }
        Ok(prompts)
    }

    /// Compiles the set of a TOML file, which holds a [`PromptSpec`].
    ///
    /// # Errors
    /// [`PromptError::Io`], [`PromptError::File`] with the place in the file, and those of
    /// [`new`](Self::new).
    pub fn load(path: &Path) -> Result<Self, PromptError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PromptError::Io { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, PromptError> {
        let spec = toml::from_str(text).map_err(|source| PromptError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Self::new(spec)
    }

    /// Name of the set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The texts from which the set was compiled.
    #[must_use]
    pub const fn spec(&self) -> &PromptSpec {
        &self.spec
    }

    /// The tasks for which the set has texts.
    pub fn tasks(&self) -> impl Iterator<Item = Task> {
        self.tasks.keys().copied()
    }

    /// BLAKE3 of every task's name, version and texts, and of the format, in hexadecimal: a
    /// checkpoint carries it, and using the checkpoint with other prompts is an error. The name of
    /// the set and its description are not part of it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The template of a task.
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`].
    pub fn template(&self, task: Task) -> Result<&Template, PromptError> {
        self.entry(task).map(|(template, _)| template)
    }

    /// The variables that the completion of a task shows: its [outputs](Task::outputs), of the texts
    /// of a chain of thought those that the set has chosen.
    ///
    /// ```
    /// use sidereal_prompts::{PromptRegistry, Task, Variable};
    /// let prompts = PromptRegistry::builtin()?;
    /// let outputs = |set: &str| prompts.set(set)?.outputs(Task::Reasoning).map(<[_]>::to_vec);
    /// assert_eq!(outputs("sidreasoner")?, [Variable::Monologue, Variable::Sid]);
    /// assert_eq!(
    ///     outputs("gream")?,
    ///     [Variable::Reasoning, Variable::Rewriting, Variable::Sid]
    /// );
    /// # Ok::<(), sidereal_prompts::PromptError>(())
    /// ```
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`].
    pub fn outputs(&self, task: Task) -> Result<&[Variable], PromptError> {
        self.entry(task).map(|(_, compiled)| compiled.outputs.as_slice())
    }

    fn entry(&self, task: Task) -> Result<(&Template, &Compiled), PromptError> {
        let entry = self.tasks.get(&task).and_then(|compiled| {
            self.spec.templates.get(compiled.index).map(|template| (template, compiled))
        });
        entry.ok_or_else(|| PromptError::NoTemplate {
            set: self.spec.name.clone(),
            task,
            known: list(self.tasks()),
        })
    }

    /// What the model reads: paraphrase `paraphrase` of a task, from 0.
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`], [`PromptError::Paraphrase`], [`PromptError::MissingFact`] for
    /// an input of the task, and [`PromptError::Template`] if the template refuses these values.
    pub fn prompt(
        &self,
        task: Task,
        paraphrase: usize,
        facts: &Facts<'_>,
    ) -> Result<Prompt, PromptError> {
        let template = self.template(task)?;
        let count = template.prompts.len();
        if paraphrase >= count {
            let set = self.spec.name.clone();
            return Err(PromptError::Paraphrase { set, task, count, found: paraphrase });
        }
        let text = self.render(template, Part::Prompt(paraphrase), facts)?;
        if self.spec.format == Format::Plain {
            return Ok(Prompt::Plain(text));
        }
        let system = if template.system.is_empty() { &self.spec.system } else { &template.system };
        let system = (!system.is_empty()).then(|| Message::new(Role::System, system));
        Ok(Prompt::Chat(system.into_iter().chain([Message::new(Role::User, text)]).collect()))
    }

    /// What the model must write.
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`], [`PromptError::MissingFact`] for an output of the task, and
    /// [`PromptError::Template`] if the template refuses these values.
    pub fn completion(&self, task: Task, facts: &Facts<'_>) -> Result<Vec<Segment>, PromptError> {
        let (template, compiled) = self.entry(task)?;
        let pieces = template.completion.iter().zip(&compiled.kinds).enumerate();
        pieces
            .map(|(index, (piece, kind))| {
                let text = self.render(template, Part::Completion(index), facts)?;
                Ok(Segment { text, loss: piece.loss, kind: *kind })
            })
            .collect()
    }

    fn render(
        &self,
        template: &Template,
        part: Part,
        facts: &Facts<'_>,
    ) -> Result<String, PromptError> {
        let task = template.task;
        let missing = |variable| PromptError::MissingFact {
            set: self.spec.name.clone(),
            task,
            part: part.to_string(),
            variable,
        };
        let variables = match part {
            Part::Prompt(_) => task.inputs(),
            Part::Completion(_) => self.outputs(task)?,
        };
        let values = facts.only(variables).map_err(missing)?;
        self.environment
            .get_template(&part.key(task))
            .and_then(|compiled| compiled.render(values))
            .map_err(|source| part.refused(&self.spec.name, template, source))
    }

    /// Renders two prefixes of a history and compares the shorter one, with its completion, with
    /// the longer one.
    fn prove_continuation(&self) -> Result<(), PromptError> {
        let (set, task) = (self.spec.name.clone(), Task::NextItem);
        let Some(count) = self.template(task).ok().map(|template| template.prompts.len()) else {
            return Err(PromptError::ContinuationOfMessages { set });
        };
        let sids = ["<a_0><b_1>", "<a_2><b_3><c_4>", "<a_5><b_6>", "<a_0><b_1>"];
        for paraphrase in 0..count {
            for (len, sid) in sids.into_iter().enumerate() {
                let facts = |len: usize| Facts {
                    history: Some(sids.iter().copied().take(len).collect()),
                    sid: Some(sid),
                    ..Facts::default()
                };
                let prompt = self.prompt(task, paraphrase, &facts(len))?;
                let next = self.prompt(task, paraphrase, &facts(len + 1))?;
                let (Some(prompt), Some(expected)) = (prompt.plain(), next.plain()) else {
                    return Err(PromptError::ContinuationOfMessages { set });
                };
                let segments = self.completion(task, &facts(len))?;
                let found = segments.iter().fold(prompt.to_owned(), |text, s| text + &s.text);
                if found != expected {
                    return Err(PromptError::NotContinuation {
                        set,
                        task,
                        version: self.template(task)?.version,
                        part: Part::Prompt(paraphrase).to_string(),
                        found,
                        expected: expected.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// A text of a template.
#[derive(Debug, Clone, Copy)]
enum Part {
    Prompt(usize),
    Completion(usize),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prompt(index) => write!(f, "paraphrase {index} of the prompt"),
            Self::Completion(index) => write!(f, "piece {index} of the completion"),
        }
    }
}

impl Part {
    fn key(self, task: Task) -> String {
        match self {
            Self::Prompt(index) => format!("{task}/prompt/{index}"),
            Self::Completion(index) => format!("{task}/completion/{index}"),
        }
    }

    /// Those that a template may name.
    const fn variables(self, task: Task) -> &'static [Variable] {
        match self {
            Self::Prompt(_) => task.inputs(),
            Self::Completion(_) => task.outputs(),
        }
    }

    fn refused(self, set: &str, template: &Template, source: minijinja::Error) -> PromptError {
        PromptError::Template {
            set: set.to_owned(),
            task: template.task,
            version: template.version,
            part: self.to_string(),
            source,
        }
    }
}

/// Adds the texts of a template and compares their variables with those of the task. The kinds of the
/// completion's pieces, and its variables in the order of [`Task::outputs`].
fn compile(
    environment: &mut Environment<'static>,
    set: &str,
    template: &Template,
) -> Result<(Vec<SegmentKind>, Vec<Variable>), PromptError> {
    let Template { task, version, .. } = *template;
    for (part, len) in
        [("prompt", template.prompts.len()), ("completion", template.completion.len())]
    {
        if len == 0 {
            return Err(PromptError::EmptyTemplate { set: set.to_owned(), task, version, part });
        }
    }
    let unused = |part: Part, variable| PromptError::UnusedVariable {
        set: set.to_owned(),
        task,
        version,
        part: part.to_string(),
        variable,
    };
    let mut named_by = |part: Part, text: &str| -> Result<Vec<Variable>, PromptError> {
        let known = part.variables(task);
        environment
            .add_template_owned(part.key(task), text.to_owned())
            .map_err(|source| part.refused(set, template, source))?;
        let compiled = environment
            .get_template(&part.key(task))
            .map_err(|source| part.refused(set, template, source))?;
        let global = |name: &String| environment.globals().any(|(global, _)| global == name);
        let names = compiled.undeclared_variables(false).into_iter();
        let mut names: Vec<String> = names.filter(|name| !global(name)).collect();
        names.sort_unstable();
        let variable = |name: String| {
            let variable = known.iter().copied().find(|variable| variable.name() == name);
            variable.ok_or_else(|| PromptError::UnknownVariable {
                set: set.to_owned(),
                task,
                version,
                part: part.to_string(),
                found: name,
                known: list(known),
            })
        };
        names.into_iter().map(variable).collect()
    };
    for (index, text) in template.prompts.iter().enumerate() {
        let part = Part::Prompt(index);
        let named = named_by(part, text)?;
        if let Some(missing) = task.inputs().iter().find(|input| !named.contains(input)) {
            return Err(unused(part, *missing));
        }
    }
    let (mut kinds, mut shown) = (Vec::new(), Vec::new());
    for (index, piece) in template.completion.iter().enumerate() {
        let named = named_by(Part::Completion(index), &piece.text)?;
        kinds.push(segment_kind(&piece.text, !named.is_empty()));
        shown.extend(named);
    }
    let outputs = task.outputs();
    let mut needed = outputs.iter().filter(|output| !output.is_of_a_chain());
    if let Some(missing) = needed.find(|output| !shown.contains(output)) {
        return Err(unused(Part::Completion(template.completion.len() - 1), *missing));
    }
    if task == Task::Reasoning && !show_one_chain(&shown) {
        return Err(PromptError::Reasoning { set: set.to_owned() });
    }
    let shown = outputs.iter().copied().filter(|output| shown.contains(output)).collect();
    Ok((kinds, shown))
}

fn hash(spec: &PromptSpec, tasks: &BTreeMap<Task, Compiled>) -> String {
    let mut digest = Digest::default();
    let templates: Vec<&Template> =
        tasks.values().filter_map(|it| spec.templates.get(it.index)).collect();
    for template in &templates {
        digest.text(&template.task.to_string());
        digest.size(template.version as usize);
        template.prompts.iter().for_each(|prompt| digest.text(prompt));
        template.completion.iter().for_each(|piece| digest.text(&piece.text));
    }
    // Only for sets that have more than one plain prompt and one learned piece a task, so that the
    // hashes of simple sets, which checkpoints contain, do not change.
    let simple = |template: &&Template| {
        template.prompts.len() == 1 && matches!(&template.completion[..], [piece] if piece.loss)
    };
    if spec.format != Format::Plain || !templates.iter().all(simple) {
        digest.text("format and pieces");
        digest.size(usize::from(spec.format == Format::Chat));
        digest.text(&spec.system);
        for template in &templates {
            digest.text(&template.system);
            digest.size(template.prompts.len());
            digest.size(template.completion.len());
            template.completion.iter().for_each(|piece| digest.size(usize::from(piece.loss)));
        }
    }
    digest.finish()
}

fn list(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> =
        names.into_iter().map(|name| format!("`{}`", name.to_string())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
