// The core library of the no-GC compilation: the types that the C# compiler and ILC insist on, and nothing that could allocate or throw.
// An allocation in this compilation does not link, because nothing here defines the allocator's helpers.

namespace System
{
    public class Object
    {
#pragma warning disable 169
        // ILC reserves the method-table pointer; the field must exist in the system module's Object.
        private IntPtr _methodTable;
#pragma warning restore 169
    }

    public struct Void { }
    public struct Boolean { }
    public struct Char { }
    public struct SByte { }
    public struct Byte { }
    public struct Int16 { }
    public struct UInt16 { }
    public struct Int32 { public const int MaxValue = 0x7FFFFFFF; }
    public struct UInt32 { public const uint MaxValue = 0xFFFFFFFF; }
    public struct Int64 { }
    public struct UInt64 { public const ulong MaxValue = 0xFFFFFFFFFFFFFFFF; }
    public struct IntPtr { }
    public struct UIntPtr { }
    public struct Single { }
    public struct Double { }

    public abstract class ValueType { }
    public abstract class Enum : ValueType { }
    public struct Nullable<T> where T : struct { }

    public sealed class String { public readonly int Length; }
    public abstract class Array { }
    public abstract class Delegate { }
    public abstract class MulticastDelegate : Delegate { }

    public struct RuntimeTypeHandle { }
    public struct RuntimeMethodHandle { }
    public struct RuntimeFieldHandle { }

    public class Attribute { }
    public class Exception { }
    public class Type { }

    public enum AttributeTargets { All = 0x7FFF }

    public sealed class AttributeUsageAttribute : Attribute
    {
        public AttributeUsageAttribute(AttributeTargets validOn) { }
        public bool AllowMultiple { get; set; }
        public bool Inherited { get; set; }
    }

    public sealed class ParamArrayAttribute : Attribute { }
    public class FlagsAttribute : Attribute { }

    /// <summary>Read-only view of static bytes: exists for <c>"…"u8</c> literals, which live in the image.</summary>
    // SAFETY: made by the compiler for literals only; the pointer is to read-only data of the image. There is no indexer: users keep to Length.
    public readonly unsafe ref struct ReadOnlySpan<T>
    {
        private readonly void* _pointer;
        private readonly int _length;

        public ReadOnlySpan(void* pointer, int length)
        {
            _pointer = pointer;
            _length = length;
        }

        /// <summary>Named by the compiler when it lowers a literal; the code generator replaces the call by the one above.</summary>
        public ReadOnlySpan(T[] array, int start, int length)
        {
            _pointer = null;
            _length = 0;
        }

        public int Length => _length;

        /// <summary>The first element. The bytes of a literal are part of the image, so the pointer stays good for ever.</summary>
        public byte* Pointer => (byte*)_pointer;
    }
}

namespace System.Reflection
{
    public sealed class DefaultMemberAttribute : Attribute
    {
        public DefaultMemberAttribute(string memberName) { }
    }
}
