//! Every reason for which a model is not loaded or an answer is not made, as a stable word.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal;)+) => {
        /// Why something was refused, in one word that programs may rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All codes, in the order of this file.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as programs read it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)+ }
            }

            /// What it means, in one line.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The file states an architecture that this engine does not compute.
    ArchitectureUnsupported = "architecture_unsupported";
    /// As many requests wait for the model as may.
    Busy = "engine_busy";
    /// The model's configuration is missing, malformed or contradicts itself.
    ConfigInvalid = "model_config_invalid";
    /// The computation failed or gave numbers that are not finite.
    ComputeFailed = "compute_failed";
    /// The model asks for a variant of the architecture that this engine does not compute.
    FeatureUnsupported = "model_feature_unsupported";
    /// The file's header breaks its format.
    FileMalformed = "model_file_malformed";
    /// A file of the model is larger than allowed.
    FileTooLarge = "model_file_too_large";
    /// The file ends before what its header promises.
    FileTruncated = "model_file_truncated";
    /// A file of the model is missing or cannot be read.
    FileUnreadable = "model_file_unreadable";
    /// The prompt and at least one token of answer do not fit into the context.
    PromptTooLong = "prompt_too_long";
    /// A setting of the request is outside what it can be.
    SettingInvalid = "generation_setting_invalid";
    /// The engine ends before it could answer.
    Stopping = "engine_stopping";
    /// The chat template is broken, or does not render a plain conversation.
    TemplateInvalid = "template_invalid";
    /// The model has no chat template.
    TemplateMissing = "template_missing";
    /// The chat template did more work or made more text than allowed.
    TemplateOverLimit = "template_over_limit";
    /// The chat template refuses these messages.
    TemplateRefused = "template_refused";
    /// A tensor that the architecture needs is not in the files.
    TensorMissing = "tensor_missing";
    /// A tensor has another shape than the configuration says.
    TensorShape = "tensor_shape";
    /// A tensor is stored as a type that this engine does not compute with.
    TensorType = "tensor_type_unsupported";
    /// The files hold a tensor that the architecture has no place for.
    TensorUnexpected = "tensor_unexpected";
    /// The tokenizer is missing, malformed or of a kind that this engine does not have.
    TokenizerInvalid = "tokenizer_invalid";
    /// The tokenizer has tokens that the model has no row for.
    VocabularyMismatch = "vocabulary_mismatch";
    /// The weights hold numbers that are not finite.
    WeightsNotFinite = "weights_not_finite";
}
