//! The name without its spelling: the canonical key, then the parts of the name, then a maker's
//! name glued in front.

use crate::claim::Confidence;
use crate::grammar::{Names, Services, platform_name};
use crate::ids::ModelId;
use crate::key::{key, without_date};
use crate::registry::entry::Weights;
use crate::resolve::identify::{Found, Identity, Search};

/// What a name that no alias lists is worth here.
enum Worth {
    /// It identifies.
    Sure(Confidence),
    /// Anybody may have given it.
    Guess,
}

impl<'v> Search<'v, '_> {
    /// The model whose name this is, spelled in whatever way.
    pub(super) fn canonical(&mut self) -> Option<Identity<'v>> {
        let reading = self.reading;
        for form in &reading.forms {
            let wanted = key(form);
            if let Some(identity) = self.with_key(&wanted, form, Confidence::High) {
                return Some(identity);
            }
        }
        for form in &reading.forms {
            if let Some(identity) = self.by_parts(&key(form), form) {
                return Some(identity);
            }
        }
        for form in &reading.forms {
            if let Some(identity) = self.with_tail(&key(form), form) {
                return Some(identity);
            }
        }
        let last = key(reading.forms.last()?);
        if let Some(identity) = self.glued(&last) {
            return Some(identity);
        }
        // A date behind a closed model's name: the same name, another day.
        let undated = without_date(&last)?;
        let index = self.view.registry().index();
        let closed = |id: &ModelId| {
            let model = self.view.registry().model(id.as_str());
            model.is_some_and(|model| model.weights.values().all(|one| *one == Weights::Closed))
        };
        if !index.with_key(undated).iter().all(closed) {
            return None;
        }
        self.with_key(undated, &last, Confidence::Medium)
    }

    fn with_key(&mut self, wanted: &str, form: &str, at_most: Confidence) -> Option<Identity<'v>> {
        let mut models: Vec<&'v ModelId> = Vec::new();
        for id in self.view.registry().index().with_key(wanted) {
            models.extend(
                self.view
                    .model_node(id.as_str(), self.horizon)
                    .map(|node| node.id),
            );
        }
        models.extend(self.view.own_models_with_key(wanted, self.horizon));
        if models.is_empty() {
            return None;
        }
        self.step(format!("`{form}` has the canonical key `{wanted}`"));
        self.judge(models, at_most)
    }

    /// A repository's name without its organisation: only behind that organisation does it identify.
    fn with_tail(&mut self, wanted: &str, form: &str) -> Option<Identity<'v>> {
        let mut models: Vec<&'v ModelId> = Vec::new();
        for id in self.view.registry().index().with_tail(wanted) {
            let node = self.view.model_node(id.as_str(), self.horizon);
            models.extend(node.map(|node| node.id));
        }
        let (first, one) = (*models.first()?, models.len() == 1);
        self.step(format!("`{form}` is the name of a repository"));
        let mut identity = self.judge(models, Confidence::High)?;
        if identity.identified && self.reading.namespace.is_none() {
            self.step("many may publish under it: not identified, the name is only a guess");
            identity.identified = false;
            for found in &mut identity.found {
                found.at_most = Confidence::Low;
            }
        }
        identity.canonical = one.then(|| first.to_string());
        Some(identity)
    }

    /// A stem that a model declares, and only parts that are accounted for behind it.
    fn by_parts(&mut self, wanted: &str, form: &str) -> Option<Identity<'v>> {
        let members = self.view.registry().index().members(wanted);
        let exact = members.iter().any(|member| member.exact);
        let models: Vec<&'v ModelId> = members.iter().map(|member| member.model).collect();
        let first = *models.first()?;
        self.step(format!(
            "`{form}` is `{first}` with only sizes, storage and words that do not make it another model"
        ));
        let at_most = if exact {
            Confidence::High
        } else {
            Confidence::Medium
        };
        self.judge(models, at_most)
    }

    /// The maker's own name glued in front of the model's, as `maker-model`.
    fn glued(&mut self, wanted: &str) -> Option<Identity<'v>> {
        let index = self.view.registry().index();
        for (at, _) in wanted.match_indices('-') {
            let (before, rest) = wanted.split_at(at);
            let rest = rest.trim_start_matches('-');
            let mut models: Vec<&'v ModelId> = index.with_key(rest).iter().collect();
            if models.is_empty() {
                models = index.members(rest).iter().map(|one| one.model).collect();
            }
            models.retain(|model| {
                let node = self.view.model_node(model.as_str(), self.horizon);
                let maker = node.and_then(|node| node.producer(self.horizon));
                maker.is_some_and(|said| index.is_namespace_of(before, said.value))
            });
            if !models.is_empty() {
                self.step(format!("`{before}` in front of `{rest}` is its maker"));
                return self.judge(models, Confidence::Medium);
            }
        }
        None
    }

    /// The answer when these models bear the name.
    fn judge(&mut self, models: Vec<&'v ModelId>, at_most: Confidence) -> Option<Identity<'v>> {
        let first = *models.first()?;
        let one = models.len() == 1;
        let worth = if one {
            self.worth(first)
        } else {
            self.step("several models have this name: not identified");
            Worth::Guess
        };
        let identified = matches!(worth, Worth::Sure(_));
        if one && !identified {
            self.step("anybody may give this name here: not identified, the name is only a guess");
        }
        let at_most = match worth {
            Worth::Sure(most) => at_most.min(most),
            Worth::Guess => Confidence::Low,
        };
        let found = |model| Found::of(model, at_most);
        Some(Identity {
            found: models.into_iter().map(found).collect(),
            canonical: one.then(|| first.to_string()),
            identified,
            ..Identity::default()
        })
    }

    /// What a name is worth that no alias lists, if it is this model's.
    fn worth(&mut self, model: &ModelId) -> Worth {
        // What stands further in front must be services on the way, never somebody's folder.
        if !self
            .reading
            .beyond
            .iter()
            .all(|part| self.view.is_service(&platform_name(part)))
        {
            return Worth::Guess;
        }
        let most = match self.reading.names {
            Names::Anybodys => return Worth::Guess,
            Names::Deployments if self.on_wire => return Worth::Guess,
            Names::Deployments => {
                self.step("read as the catalogue's name; a deployment may bear any name");
                Confidence::Medium
            }
            Names::Services | Names::Namespaced => Confidence::High,
        };
        let Some(namespace) = &self.reading.namespace else {
            return Worth::Sure(most);
        };
        // Services serve uploads too: an organisation in front must be the maker's.
        let index = self.view.registry().index();
        let node = self.view.model_node(model.as_str(), self.horizon);
        let maker = node.and_then(|node| node.producer(self.horizon));
        if maker.is_some_and(|said| index.is_namespace_of(namespace, said.value)) {
            return Worth::Sure(most);
        }
        // A service in front says who serves it, unless that service makes models too.
        if self.reading.names == Names::Services
            && self.view.is_service(namespace)
            && !index.is_namespace(namespace)
        {
            self.step(format!("`{namespace}/` names a further service"));
            return Worth::Sure(Confidence::Medium);
        }
        Worth::Guess
    }
}
