using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>What was compiled is safe code: the kernel's assemblies are, and each rule finds a violation of it.</summary>
[TestFixture]
internal sealed class SafeAssemblyTests
{
    private static readonly BannedList s_banned = new(Path.Combine(Launcher.Root, "Asterinas.Ostd", "Analyzers", "BannedSymbols.txt"));

    [TestCase("Asterinas.Services/bin/X64/{0}/Asterinas.Services.dll")]
    [TestCase("Asterinas.Services/bin/Mirch/{0}/Asterinas.Services.dll")]
    [TestCase("Asterinas.Boot/Kernel/bin/{0}/Asterinas.dll")]
    [TestCase("Asterinas.Boot/Samples/HundredLines/bin/{0}/HundredLines.dll")]
    [TestCase("Asterinas.Tests/Kernel/bin/{0}/KernelTests.dll")]
    public void Kernel_assembly_is_safe_code(string path)
    {
        using FileStream image = File.OpenRead(Path.Combine(Launcher.Root, string.Format(path, Launcher.Configuration)));
        Assert.That(SafeAssembly.Violations(image, s_banned), Is.Empty);
    }

    [Test]
    public void Ostd_is_not_safe_code()
    {
        using FileStream image = File.OpenRead(Path.Combine(Launcher.Root, $"Asterinas.Ostd/bin/X64/{Launcher.Configuration}/Asterinas.Ostd.dll"));
        Assert.That(SafeAssembly.Violations(image, s_banned), Has.Length.GreaterThan(100));
    }

    [TestCase("class C { }", "UnverifiableCodeAttribute", TestName = "Assembly_compiled_with_unsafe_allowed_is_found")]
    [TestCase("unsafe class C { int* P; }", "C.P: a field is a pointer", TestName = "Pointer_field_is_found")]
    [TestCase("unsafe class C { delegate*<void> P; }", "C.P: a field is a pointer", TestName = "Function_pointer_field_is_found")]
    [TestCase("unsafe class C { int*[] P; }", "C.P: a field is a pointer", TestName = "Array_of_pointers_is_found")]
    [TestCase("unsafe class C { void M(int* p) { } }", "C.M: a pointer in the signature", TestName = "Pointer_parameter_is_found")]
    [TestCase("unsafe class C { int M(int i) { int* p = &i; return *p + p[1] + (int)p; } }", "C.M: memory is accessed through a number", TestName = "Pointer_dereference_is_found")]
    [TestCase("unsafe class C { int M(nint i) => *(int*)i; }", "C.M: memory is accessed through a number", TestName = "Dereference_of_an_integer_is_found")]
    [TestCase("unsafe class C { void M(nint i) => *(int*)i = 1; }", "C.M: memory is accessed through a number", TestName = "Store_through_an_integer_is_found")]
    [TestCase("unsafe class C { System.Guid M(nint i) => *(System.Guid*)i; }", "C.M: memory is accessed through a number", TestName = "Copy_of_a_structure_through_an_integer_is_found")]
    [TestCase("unsafe class C { ref int M(nint i) => ref *(int*)i; }", "C.M: a reference is made of a number", TestName = "Reference_made_of_an_integer_is_found")]
    [TestCase("unsafe class C { int M(nint i) => System.Threading.Interlocked.Increment(ref *(int*)i); }", "C.M: a reference is made of a number", TestName = "Integer_passed_as_a_reference_is_found")]
    [TestCase("unsafe class C { int M(nint i) => ((S*)i)->X; struct S { public int X; } }", "C.M: memory is accessed through a number", TestName = "Field_through_an_integer_is_found")]
    [TestCase("unsafe class C { int M(int[] a) { fixed (int* p = a) return p[1]; } }", "C.M: a local is pinned", TestName = "Pinned_local_is_found")]
    [TestCase("unsafe class C { int M(int n) { byte* p = stackalloc byte[n]; for (int i = 1; i < n; i++) p[i] += p[i - 1]; return p[n]; } }", "C.M: a local is a pointer", TestName = "Pointer_local_is_found")]
    [TestCase("unsafe class C { nint M(int n) { byte* p = stackalloc byte[n]; return (nint)p; } }", "C.M: a stack block's address escapes", TestName = "Escaping_stack_block_is_found")]
    [TestCase("unsafe class C { System.Span<int> M(nint i) => new((void*)i, 4); }", "C.M: a span over an address", TestName = "Span_over_an_address_is_found")]
    [TestCase("unsafe class C { void M(nint i) => ((delegate*<void>)i)(); }", "C.M: opcode calli", TestName = "Calli_is_found")]
    [TestCase("unsafe class C { static void F() { } nint M() => (nint)(delegate*<void>)&F; }", "C.M: a function's address that becomes no delegate", TestName = "Address_of_a_function_is_found")]
    [TestCase("unsafe class C { object M(System.ReadOnlySpan<char> s) => new string((char*)null); }", "takes or gives a pointer", TestName = "Call_with_a_pointer_is_found")]
    [TestCase("class C { [System.Runtime.CompilerServices.SkipLocalsInit] int M() { System.Guid g = new(); return g.GetHashCode(); } }", "C.M: locals do not start as zero", TestName = "SkipLocalsInit_is_found")]
    [TestCase("class C { void M(int i) { var r = __makeref(i); } }", "C.M: opcode mkrefany", TestName = "Typed_reference_is_found")]
    [TestCase("class C { [System.Runtime.InteropServices.DllImport(\"c\")] static extern int getpid(); }", "C.getpid: P/Invoke", TestName = "P_invoke_is_found")]
    [TestCase("using System.Runtime.CompilerServices; class C { [MethodImpl(MethodImplOptions.InternalCall)] static extern int M(); }", "C.M: no managed code", TestName = "Internal_call_is_found")]
    [TestCase("using System.Runtime.CompilerServices; class C { [MethodImpl(MethodImplOptions.InternalCall, MethodCodeType = MethodCodeType.Runtime)] static extern int M(); }", "C.M: no managed code", TestName = "Code_of_the_runtime_outside_of_a_delegate_is_found")]
    [TestCase("using System.Runtime.CompilerServices; class C { [UnsafeAccessor(UnsafeAccessorKind.Method)] static extern void M(string s); }", "C.M: no body", TestName = "Unsafe_accessor_is_found")]
    [TestCase("using System.Runtime.InteropServices; [StructLayout(LayoutKind.Explicit)] struct S { [FieldOffset(0)] long A; [FieldOffset(0)] object B; }", "S.B: explicit layout with a reference", TestName = "Overlapping_reference_is_found")]
    [TestCase("using System.Runtime.InteropServices; struct P { string Q; } [StructLayout(LayoutKind.Explicit)] struct S { [FieldOffset(0)] long A; [FieldOffset(8)] P B; }", "S.B: explicit layout with a reference", TestName = "Reference_inside_a_field_of_explicit_layout_is_found")]
    [TestCase("[assembly: System.Runtime.CompilerServices.IgnoresAccessChecksTo(\"x\")] namespace System.Runtime.CompilerServices { class IgnoresAccessChecksToAttribute(string s) : Attribute { } }", "attribute System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute", TestName = "Access_to_internals_is_found")]
    [TestCase("class C { int M(ref long l) => System.Runtime.CompilerServices.Unsafe.As<long, int>(ref l); }", "C.M: System.Runtime.CompilerServices.Unsafe.As<> is banned", TestName = "Unsafe_call_is_found")]
    [TestCase("class C { System.Span<int> M(ref int i) => System.Runtime.InteropServices.MemoryMarshal.CreateSpan(ref i, 9); }", "C.M: System.Runtime.InteropServices.MemoryMarshal.CreateSpan<> is banned", TestName = "MemoryMarshal_call_is_found")]
    [TestCase("class C { System.Span<int> M(System.Collections.Generic.List<int> l) => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(l); }", "CollectionsMarshal.AsSpan<> is banned", TestName = "CollectionsMarshal_call_is_found")]
    [TestCase("class C { nint M() => System.Runtime.InteropServices.Marshal.AllocHGlobal(1); }", "System.Runtime.InteropServices.Marshal is banned", TestName = "Marshal_is_found")]
    [TestCase("class C { object M(System.Type t) => System.Activator.CreateInstance(t); }", "System.Activator.CreateInstance is banned", TestName = "Activator_is_found")]
    [TestCase("class C { object M(System.Type t) => t.GetField(\"x\", System.Reflection.BindingFlags.NonPublic).GetValue(null); }", "System.Reflection.FieldInfo is banned", TestName = "Private_reflection_is_found")]
    [TestCase("class C { object M(System.Type t) => System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(t); }", "RuntimeHelpers.GetUninitializedObject is banned", TestName = "Object_without_constructor_is_found")]
    [TestCase("class C { void M() => System.Console.WriteLine(); }", "System.Console is banned", TestName = "Console_is_found")]
    [TestCase("class C { void M() => System.Threading.Tasks.Task.Run(() => { }); }", "System.Threading.Tasks.Task is banned", TestName = "Task_is_found")]
    [TestCase("class C { void M() => System.Threading.Thread.Sleep(1); }", "System.Threading.Thread is banned", TestName = "Thread_is_found")]
    public void Violation(string source, string expected)
    {
        string[] found = SafeAssembly.Violations(new Snippet(source, allowUnsafe: true).Emit(), s_banned);
        Assert.That(found, Has.Some.Contains(expected), string.Join('\n', found));
    }

    [TestCase("int M(int n) { System.Span<byte> s = stackalloc byte[n]; return s[0]; }", TestName = "Stackalloc_into_a_span_is_allowed")]
    [TestCase("int M(int n) { System.Span<int> s = stackalloc int[] { n, 2, n > 1 ? 3 : 4 }; return s[0]; }", TestName = "Stackalloc_with_values_is_allowed")]
    [TestCase("int M(int n) { System.ReadOnlySpan<byte> s = stackalloc byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 }; return s[n]; }", TestName = "Stackalloc_with_constants_is_allowed")]
    [TestCase("int M(int n) { System.Span<byte> s = n < 64 ? stackalloc byte[n] : new byte[n]; return s[0]; }", TestName = "Stackalloc_in_a_condition_is_allowed")]
    [TestCase("int M(int n) => F(n, stackalloc int[3]); int F(int n, System.Span<int> s) => s[n];", TestName = "Stackalloc_as_an_argument_is_allowed")]
    [TestCase("int M(int n) => \"text\"u8[n];", TestName = "Utf8_literal_is_allowed")]
    [TestCase("System.ReadOnlySpan<int> M() => [1, 2, 3];", TestName = "Constant_span_is_allowed")]
    [TestCase("int M(int n) { System.Span<int> s = [n, n + 1]; return s[1]; }", TestName = "Collection_expression_for_a_span_is_allowed")]
    [TestCase("System.Collections.Generic.List<int> M(int n) => [n, n + 1];", TestName = "Collection_expression_for_a_list_is_allowed")]
    [TestCase("T M<T>() where T : new() => new T();", TestName = "Construction_of_a_type_parameter_is_allowed")]
    [TestCase("System.Func<int> M(int n) => () => n; event System.Action E; void N() => E += Dispose; void Dispose() { }", TestName = "Delegates_are_allowed")]
    [TestCase("int M(ref int a, in long b, out int c) { c = a; ref int r = ref c; r++; return (int)b; }", TestName = "References_are_allowed")]
    [TestCase("nint M(nint a, nuint b) => a * 2 + (nint)b; int N(int[] a, nint i) => a[i] + a[(nuint)i];", TestName = "Native_integers_are_allowed")]
    [TestCase("S F; ref struct R { public ref int X; } struct S { public int A, B; } int M(ref S s, S[] a) { R r = new() { X = ref s.A }; r.X = 1; a[1].B = 2; a[0] = default; F.B = 1; return F.B; }", TestName = "Fields_of_structures_are_allowed")]
    [TestCase("int M(string s) { try { return s switch { \"a\" => 1, \"b\" => 2, _ => s.Length }; } catch (System.Exception e) when (e.HResult > 1) { return 3; } finally { N(); } } void N() { lock (this) { foreach (int i in new int[3]) { } } }", TestName = "Control_flow_is_allowed")]
    [TestCase("System.Collections.Generic.IEnumerable<int> M() { for (int i = 0; i < 3; i++) yield return i; } record struct P(int A, string B);", TestName = "Iterators_and_records_are_allowed")]
    public void Allowed(string members) => Assert.That(SafeAssembly.Violations(new Snippet($"class C {{ {members} }}", allowUnsafe: false).Emit(), s_banned), Is.Empty);

    private static IEnumerable<TestCaseData> Opcodes()
    {
        yield return Opcode("cpblk", il => { il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldc_I4_8); il.Emit(OpCodes.Cpblk); });
        yield return Opcode("initblk", il => { il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldc_I4_0); il.Emit(OpCodes.Ldc_I4_8); il.Emit(OpCodes.Initblk); });
        yield return Opcode("jmp", il => il.Emit(OpCodes.Jmp, typeof(GC).GetMethod(nameof(GC.Collect), [])!));
        yield return Opcode("arglist", il => { il.Emit(OpCodes.Arglist); il.Emit(OpCodes.Pop); });

        static TestCaseData Opcode(string name, Action<ILGenerator> emit) => new TestCaseData(name, emit).SetName($"Opcode_{name}_is_found");
    }

    // No C# compiles to these; other tools could.
    [TestCaseSource(nameof(Opcodes))]
    public void Opcode_violation(string name, Action<ILGenerator> emit)
    {
        var assembly = new PersistedAssemblyBuilder(new AssemblyName("Snippet"), typeof(object).Assembly);
        TypeBuilder type = assembly.DefineDynamicModule("Snippet").DefineType("C");
        ILGenerator il = type.DefineMethod("M", MethodAttributes.Static, typeof(void), [typeof(long).MakeByRefType()]).GetILGenerator();
        emit(il);
        il.Emit(OpCodes.Ret);
        type.CreateType();
        var image = new MemoryStream();
        assembly.Save(image);
        image.Position = 0;
        Assert.That(SafeAssembly.Violations(image, s_banned), Is.EqualTo(new[] { "C.M: opcode " + name }));
    }
}
