// Attributes and classes that the C# compiler and ILC look up by name.

namespace System.Runtime.CompilerServices
{
    public class RuntimeHelpers
    {
        // SAFETY: the size of a pointer, a constant.
        public static unsafe int OffsetToStringData => sizeof(IntPtr) + sizeof(int);
    }

    public static class RuntimeFeature
    {
        public const string PortablePdb = nameof(PortablePdb);
        public const string UnmanagedSignatureCallingConvention = nameof(UnmanagedSignatureCallingConvention);
    }

    public static class IsVolatile { }

    internal sealed class IntrinsicAttribute : Attribute { }

    public sealed class MethodImplAttribute : Attribute
    {
        public MethodImplAttribute(MethodImplOptions options) { }
    }

    public enum MethodImplOptions
    {
        NoInlining = 0x0008,
        NoOptimization = 0x0040,
        AggressiveInlining = 0x0100,
        InternalCall = 0x1000,
    }

    public sealed class FixedBufferAttribute : Attribute
    {
        public FixedBufferAttribute(Type elementType, int length) { }
    }

    public sealed class UnsafeValueTypeAttribute : Attribute { }
    public sealed class IsReadOnlyAttribute : Attribute { }
    public sealed class IsByRefLikeAttribute : Attribute { }
    public sealed class IsUnmanagedAttribute : Attribute { }
    public sealed class CompilerGeneratedAttribute : Attribute { }
    public sealed class CallConvCdecl { }
    public sealed class SkipLocalsInitAttribute : Attribute { }
}

namespace System.Runtime.InteropServices
{
    public enum LayoutKind { Sequential = 0, Explicit = 2, Auto = 3 }

    public sealed class StructLayoutAttribute : Attribute
    {
        public StructLayoutAttribute(LayoutKind kind) { }
        public int Size;
        public int Pack;
    }

    public sealed class FieldOffsetAttribute : Attribute
    {
        public FieldOffsetAttribute(int offset) { }
    }

    public sealed class InAttribute : Attribute { }
    public sealed class UnmanagedType { }
}

namespace System.Runtime
{
    /// <summary>Exports a static method under a C symbol name (ILC).</summary>
    public sealed class RuntimeExportAttribute : Attribute
    {
        public RuntimeExportAttribute(string entry) { }
    }

    /// <summary>Binds an extern static method to a C symbol: a direct call without any transition (ILC).</summary>
    public sealed class RuntimeImportAttribute : Attribute
    {
        public RuntimeImportAttribute(string library, string entry) { }
    }
}

namespace Internal.Runtime.CompilerHelpers
{
    internal static class ThrowHelpers
    {
        // ILC calls these where IL is invalid or arithmetic is checked. In no-GC code there is nothing to unwind to: it is a panic.
        private static void ThrowInvalidProgramException(int id) => Asterinas.Ostd.Runtime.Panic.Fail("invalid program in no-GC code\n"u8);
        private static void ThrowOverflowException() => Asterinas.Ostd.Runtime.Panic.Fail("overflow in no-GC code\n"u8);
        private static void ThrowDivideByZeroException() => Asterinas.Ostd.Runtime.Panic.Fail("division by zero in no-GC code\n"u8);
        private static void ThrowNullReferenceException() => Asterinas.Ostd.Runtime.Panic.Fail("null reference in no-GC code\n"u8);
    }
}
