//! Every code that a finding can carry, with a line on what it means.

use std::fmt;

macro_rules! codes {
    ($($variant:ident = $text:literal, $description:literal;)*) => {
        /// A stable name for one way in which a file is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $description] $variant,)*
        }

        impl Code {
            /// All codes, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it appears in reports and the docs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// One line on what it means.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

codes! {
    CardAlias = "card-alias", "the front matter of a model card repeats a part by reference";
    CardLimit = "card-limit", "the front matter of a model card is longer, deeper or has more parts than is read";
    CardYaml = "card-yaml", "the front matter of a model card is not YAML that can be read";
    FileUnreadable = "file-unreadable", "the file could not be read to the end of its header";
    GgufAlignment = "gguf-alignment", "the stated alignment is not one that tensors can have";
    GgufArrayLength = "gguf-array-length", "an array has more elements than the file has room for";
    GgufArrayNesting = "gguf-array-nesting", "arrays lie within arrays deeper than the limit";
    GgufBigEndian = "gguf-big-endian", "the file is written for big-endian machines";
    GgufBool = "gguf-bool", "a truth value is neither 0 nor 1";
    GgufCount = "gguf-count", "the file states more entries or tensors than it has room for";
    GgufDuplicateKey = "gguf-duplicate-key", "a metadata key occurs twice";
    GgufDuplicateTensor = "gguf-duplicate-tensor", "a tensor name occurs twice";
    GgufKey = "gguf-key", "a metadata key is empty, too long or not plain ASCII";
    GgufLimit = "gguf-limit", "the header is larger than the limits allow";
    GgufMagic = "gguf-magic", "the file does not begin as GGUF";
    GgufPadding = "gguf-padding", "padding holds something other than zeros";
    GgufStringLength = "gguf-string-length", "a text is longer than the rest of the file";
    GgufTensorDims = "gguf-tensor-dims", "a tensor has too many dimensions, an empty one, or too many elements";
    GgufTensorHole = "gguf-tensor-hole", "bytes of the data belong to no tensor";
    GgufTensorName = "gguf-tensor-name", "a tensor name is empty, too long or has control characters";
    GgufTensorOffset = "gguf-tensor-offset", "a tensor does not begin at a multiple of the alignment";
    GgufTensorOutOfFile = "gguf-tensor-out-of-file", "a tensor ends after the file";
    GgufTensorOverlap = "gguf-tensor-overlap", "two tensors share bytes";
    GgufTensorSize = "gguf-tensor-size", "a tensor's rows are not whole blocks of its type, or its size overflows";
    GgufTensorType = "gguf-tensor-type", "a tensor has a type that does not exist or that loaders size differently";
    GgufTrailingData = "gguf-trailing-data", "something follows the last tensor";
    GgufTruncated = "gguf-truncated", "the file ends within its header";
    GgufUtf8 = "gguf-utf8", "a text is not UTF-8";
    GgufValueType = "gguf-value-type", "a metadata value has a type that does not exist";
    GgufVersion = "gguf-version", "the version of the format is not one that is read";
    JsonLimit = "json-limit", "a JSON text is longer, deeper or has more parts than is read";
    JsonSyntax = "json-syntax", "a JSON text cannot be read";
    SafetensorsDtype = "safetensors-dtype", "a tensor has a type that does not exist";
    SafetensorsDuplicateKey = "safetensors-duplicate-key", "a name occurs twice in the header or in one of its objects";
    SafetensorsHeaderLength = "safetensors-header-length", "the stated length of the header cannot be";
    SafetensorsJson = "safetensors-json", "the header is not the JSON that the format wants";
    SafetensorsLimit = "safetensors-limit", "the header is larger than the limits allow";
    SafetensorsMetadata = "safetensors-metadata", "the metadata is not a map of texts to texts";
    SafetensorsOffsets = "safetensors-offsets", "a tensor ends before it begins";
    SafetensorsShape = "safetensors-shape", "a tensor has too many dimensions or its size overflows or is no whole number of bytes";
    SafetensorsTensorHole = "safetensors-tensor-hole", "bytes of the data belong to no tensor";
    SafetensorsTensorOutOfFile = "safetensors-tensor-out-of-file", "a tensor ends after the file";
    SafetensorsTensorOverlap = "safetensors-tensor-overlap", "two tensors share bytes";
    SafetensorsTensorSize = "safetensors-tensor-size", "a tensor's bytes are not as many as its type and shape need";
    SafetensorsTrailingData = "safetensors-trailing-data", "something follows the last tensor";
    SafetensorsTruncated = "safetensors-truncated", "the file ends within its header";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_sorted() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{pair:?}");
        }
    }
}
