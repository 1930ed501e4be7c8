//! One description of a configuration section gives its type, its reader and its schema.
//!
//! A reader collects every mistake with its place instead of stopping at the first, refuses
//! unknown keys, and keeps the span of each value for the messages of later checks.

/// Declare a section of `carnet.toml`.
///
/// `required` fields become `Spanned<T>`, `optional` ones `Option<Spanned<T>>`. The JSON schema
/// comes from the same lines, comments included.
#[macro_export]
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            required { $( $(#[$rdoc:meta])* $rname:ident : $rty:ty, )* }
            optional { $( $(#[$odoc:meta])* $oname:ident : $oty:ty, )* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name {
            $( $(#[$rdoc])* pub $rname: ::toml_span::Spanned<$rty>, )*
            $( $(#[$odoc])* pub $oname: Option<::toml_span::Spanned<$oty>>, )*
        }

        impl<'de> ::toml_span::Deserialize<'de> for $name {
            fn deserialize(value: &mut ::toml_span::Value<'de>) -> Result<Self, ::toml_span::DeserError> {
                #[allow(unused_mut, reason = "a section may have no field of one kind")]
                let mut table = ::toml_span::de_helpers::TableHelper::new(value)?;
                $( let $rname = table.required_s(stringify!($rname)); )*
                $( let $oname = table.optional_s(stringify!($oname)); )*
                table.finalize(None)?;
                Ok(Self {
                    $( $rname: $rname?, )*
                    $( $oname, )*
                })
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).trim_start_matches("Raw").into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $(#[$meta])*
                #[derive(::schemars::JsonSchema)]
                #[schemars(deny_unknown_fields)]
                #[allow(dead_code, reason = "only its schema is wanted")]
                struct Shape {
                    $( $(#[$rdoc])* $rname: $rty, )*
                    $( $(#[$odoc])* $oname: $oty, )*
                }
                let mut schema = Shape::json_schema(generator);
                // TOML has no null: what is optional may be absent, and has its type if it is there.
                let required: Vec<&str> = vec![$( stringify!($rname), )*];
                if required.is_empty() {
                    schema.remove("required");
                } else {
                    schema.insert("required".to_owned(), required.into());
                }
                schema
            }
        }
    };
}
