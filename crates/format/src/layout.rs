//! The macro that declares a structure of the file once: its Rust type, its reader, its size and
//! offset checks, and its line in the schema that every file carries.

/// A value with a fixed place in the file, little-endian.
pub trait Field: Sized {
    /// Reads the value from exactly its own bytes.
    fn get(bytes: &[u8]) -> Option<Self>;
    /// Writes the value to exactly its own bytes.
    fn put(&self, bytes: &mut [u8]);
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn get(bytes: &[u8]) -> Option<Self> {
                Some(<$type>::from_le_bytes(bytes.try_into().ok()?))
            }
            fn put(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
        impl<const N: usize> Field for [$type; N] {
            fn get(bytes: &[u8]) -> Option<Self> {
                let mut out = [0; N];
                for (value, part) in out.iter_mut().zip(bytes.chunks_exact(size_of::<$type>())) {
                    *value = <$type>::get(part)?;
                }
                Some(out)
            }
            fn put(&self, bytes: &mut [u8]) {
                for (value, part) in self.iter().zip(bytes.chunks_exact_mut(size_of::<$type>())) {
                    value.put(part);
                }
            }
        }
    )*};
}
integers!(u8 u16 u32 u64 i32 i64);

/// Declares a `repr(C)` structure with explicit offsets.
macro_rules! layout {
    ($(#[$meta:meta])* pub struct $name:ident = $word:literal, $size:literal {
        $($(#[$fmeta:meta])* $offset:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $(assert!(core::mem::offset_of!($name, $field) == $offset);)*
        };

        impl $name {
            /// Bytes on disk.
            pub const SIZE: usize = $size;

            /// This structure's line of the schema: `name size field@offset:type ...`.
            pub const SCHEMA: &'static str = concat!(
                $word, " ", stringify!($size),
                $(" ", stringify!($field), "@", stringify!($offset), ":", stringify!($type),)*
                "\n"
            );

            /// Reads the structure from the start of `bytes`; `None` when they are too few.
            #[inline]
            pub fn read(bytes: &[u8]) -> Option<Self> {
                use crate::layout::Field;
                let bytes = bytes.first_chunk::<$size>()?;
                Some($name {
                    $($field: <$type>::get(bytes.get($offset..$offset + size_of::<$type>())?)?,)*
                })
            }

            /// The structure as bytes of the file.
            pub fn to_bytes(&self) -> [u8; $size] {
                use crate::layout::Field;
                let mut out = [0u8; $size];
                $(self.$field.put(&mut out[$offset..$offset + size_of::<$type>()]);)*
                out
            }
        }
    };
}
